import { expect, test } from '@jest/globals';
import { nodeCrypto } from '@roost/crypto/node';
import { Walk } from './testing-walk.ts';

// More of it, and a seed again: `npm run fuzz -- walk --seed N --epochs N`.
const EPOCHS = 40;

test.each([1, 2, 3, 4, 5, 6])(
  'over a random walk (seed %i) server and members have the same tree, context and proposals',
  async (seed) => {
    const walk = await Walk.start(nodeCrypto, seed);
    expect(await walk.run(EPOCHS)).toBe(EPOCHS);
    expect(walk.epoch).toBe(BigInt(EPOCHS));
    const kinds = [...walk.kinds.keys()].map((kind) => kind.replace(/ (inline|by reference)$/, ''));
    expect(kinds).toEqual(
      expect.arrayContaining(['add', 'remove', 'update', 'external', 'resync']),
    );
  },
);
