import { expect, test } from '@jest/globals';

import { A, B } from './homes.fixture.ts';
import { commonVersion } from './versions.ts';

const of = (us: readonly [number, number], peer: readonly [number, number]) => {
  const [min, max] = us;
  const [peerMin, peerMax] = peer;
  return commonVersion(
    { domain: A, protocol: { min, max } },
    { domain: B, protocol: { min: peerMin, max: peerMax } },
  );
};

test('two homeservers speak the highest version that both know', () => {
  expect([of([1, 1], [1, 1]), of([1, 2], [1, 1]), of([1, 2], [2, 3]), of([1, 4], [2, 3])]).toEqual([
    1, 1, 2, 3,
  ]);
});

test('where there is none, whoever is behind is told to upgrade', () => {
  expect(() => of([1, 2], [3, 4])).toThrow(
    'a.example speaks federation versions 1 to 2 and b.example versions 3 to 4: a.example has to be upgraded',
  );
  expect(() => of([3, 3], [1, 2])).toThrow(/: b\.example has to be upgraded$/);
  expect(() => of([3, 3], [1, 2])).toThrow(
    expect.objectContaining({ reason: 'FEDERATION_DENIED' }),
  );
});
