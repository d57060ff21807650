import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import fc from 'fast-check';
import { addOf, citing, contextOf, failureOf, removeOf, roomExtension } from './testing-scene.ts';
import { deliver, foundGroup, makeCommit, newActor, stage } from './testing.ts';
import { KeySet } from './tree-index.ts';

test('a set of keys is what a plain set would be, and its copies go their own ways', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 99 })), {
    minLength: 200,
    maxLength: 300,
  });
  const law = fc.property(steps, (all) => {
    let keys = new KeySet();
    const plain = new Set<number>();
    return all.every(([isAdded, key]) => {
      const before = keys;
      const had = plain.has(key);
      keys = keys.copy();
      if (isAdded) keys.add(Uint8Array.of(key));
      else keys.delete(Uint8Array.of(key));
      if (isAdded) plain.add(key);
      else plain.delete(key);
      const agrees = (each: number) => keys.has(Uint8Array.of(each)) === plain.has(each);
      return before.has(Uint8Array.of(key)) === had && KEYS.every(agrees);
    });
  });
  // A failing run of hundreds of steps is not worth the minutes that shrinking it takes.
  fc.assert(law, { numRuns: 20, endOnFailure: true });
});

const KEYS = Array.from({ length: 100 }, (_, key) => key);

test('§13.4: what one member does not support becomes possible when it goes', async () => {
  const founder = await newActor(nodeCrypto, 'founder');
  const old = await newActor(nodeCrypto, 'old', { extensionTypes: [] });
  const founded = await foundGroup(nodeCrypto, founder, utf8('group'));
  const filled = await makeCommit(founder, [addOf(old)]);
  const group = await deliver(founded, filled, founder, { members: [founder] });

  const early = await makeCommit({ ...founder }, [contextOf(roomExtension('x'))]);
  expect(failureOf(() => stage(group, early)).message).toContain(citing('§13.4'));

  const late = await makeCommit(founder, [removeOf(1), contextOf(roomExtension('x'))]);
  expect(stage(group, late).next.context.extensions).toHaveLength(1);
});
