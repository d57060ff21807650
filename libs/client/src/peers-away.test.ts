import { expect, test } from '@jest/globals';
import type { ClientEvent } from './news.ts';
import { PeersAway } from './peers-away.ts';

function scene() {
  const told: ClientEvent[] = [];
  const away = new PeersAway({ pass: (event) => void told.push(event) });
  return { told, away };
}

test('a homeserver that several lanes wait for is told of once, and once more when none waits', () => {
  const { told, away } = scene();
  away.note('1', 'b.example');
  away.note('1', 'b.example');
  away.note('2', 'b.example');
  away.note('3', 'c.example');
  away.note('1', undefined);
  expect(told).toEqual([
    { kind: 'peer-away', domain: 'b.example' },
    { kind: 'peer-away', domain: 'c.example' },
  ]);
  away.note('2', undefined);
  expect(told.at(-1)).toEqual({ kind: 'peer-back', domain: 'b.example' });
});

test('a lane that waited for none says nothing', () => {
  const { told, away } = scene();
  away.note('1', undefined);
  expect(told).toEqual([]);
});
