import { expect, test } from '@jest/globals';
import { nodeCrypto } from '@roost/crypto/node';
import { decodePublicGroup, encodePublicGroup } from './stored.ts';
import { merge } from './public-group.ts';
import { makeCommit, settledGroup, stage } from './testing.ts';

test('§7.8: a commit hashes its path and not the tree, opened from a snapshot or not', async () => {
  const [small, large] = [await hashesOf(8), await hashesOf(64)];

  // Three levels more: a tree hash and a parent hash on each. All nodes would be 112 more.
  expect(large.settled - small.settled).toBeLessThanOrEqual(6);
  // A snapshot has the hashes of parents; those of leaves are made when a sibling needs them.
  expect(large.opened - large.settled).toBeLessThanOrEqual(1);
});

test('§12.4.2: an update has three signatures verified, however large the group', async () => {
  let verified = 0;
  const { ed25519 } = nodeCrypto;
  const verify: typeof ed25519.verify = (key, message, signature) => {
    verified++;
    return ed25519.verify(key, message, signature);
  };
  const counting = { ...nodeCrypto, ed25519: { ...ed25519, verify } };
  const { group, founder } = await settledGroup(counting, 32);
  const made = await makeCommit(founder);

  verified = 0;
  stage(group, made);

  // Of the message, of the leaf in its path, of the GroupInfo.
  expect(verified).toBe(3);
});

/** How many hashes the update of the founder takes in a settled group of this size. */
async function hashesOf(size: number) {
  let hashes = 0;
  const counting = {
    ...nodeCrypto,
    sha256(bytes: Uint8Array) {
      hashes++;
      return nodeCrypto.sha256(bytes);
    },
  };
  const { group, founder } = await settledGroup(counting, size);
  const made = await makeCommit(founder);
  const settled = count(() => merge(stage(group, made)));
  const snapshot = encodePublicGroup(group);
  const read = decodePublicGroup(counting, snapshot);
  return { settled, opened: count(() => merge(stage(read, made))) };

  function count(run: () => unknown): number {
    const before = hashes;
    run();
    return hashes - before;
  }
}
