import { expect, test } from '@jest/globals';
import { Tally } from './tally.ts';

const message = (text: string) =>
  ({ kind: 'message', chat: 'c', id: 'i', sender: 's', text, acceptedAtMs: 0 }) as const;

test('everything came, once and in its order: nothing is wrong', () => {
  const tally = new Tally();
  for (const to of [0, 1, 0]) tally.heard(to, message(tally.next(to)));
  expect([tally.missing, tally.wrong()]).toEqual([0, []]);
});

test('what never came, came twice or came too early is told', () => {
  const missing = new Tally();
  missing.next(0);
  expect(missing.wrong()).toEqual(['1 messages never came']);

  const doubled = new Tally();
  const text = doubled.next(0);
  doubled.heard(0, message(text));
  doubled.heard(0, message(text));
  expect(doubled.wrong()).toEqual(['user 0 heard 1 after 1']);

  const early = new Tally();
  early.next(0);
  early.heard(0, message(early.next(0)));
  expect(early.wrong()).toEqual(['user 0 heard 2 after 0']);
});

test('a client that says that something was lost is believed, and silence is no success', () => {
  const tally = new Tally();
  tally.heard(0, { kind: 'lost', count: 1 });
  expect(tally.wrong()).toEqual(['user 0 was told "lost"', 'nothing was sent']);
});
