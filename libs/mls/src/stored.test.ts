import { beforeAll, expect, test } from '@jest/globals';
import { concat, utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { parseHandshake } from './message.ts';
import { merge, treeBytes } from './public-group.ts';
import type { PublicGroup } from './public-group.ts';
import { stageProposal } from './stage.ts';
import { decodePublicGroup, encodePublicGroup } from './stored.ts';
import { failureOf, makeScene, removeOf } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { deliver, makeCommit, makeProposal, stage } from './testing.ts';

let scene: TestScene;
let group: PublicGroup;

beforeAll(async () => {
  scene = await makeScene(nodeCrypto);
  const { a, b, c, update } = scene;
  group = await deliver(scene.group, update, a, { members: [b, c] });
});

test('a stored group is the same after it was written and read, pending proposals and all', async () => {
  const pending = await withProposal();
  const snapshot = encodePublicGroup(pending);

  const read = decodePublicGroup(nodeCrypto, snapshot);

  expect(encodePublicGroup(read)).toEqual(snapshot);
  expect(treeBytes(read)).toEqual(treeBytes(pending));
  expect([...read.proposals]).toEqual([...pending.proposals]);
  const update = await makeCommit(scene.a);
  expect(merge(stage(read, update)).contextTls).toEqual(merge(stage(pending, update)).contextTls);
});

test('a stored group is refused in another version, cut or with bytes behind it', () => {
  const snapshot = encodePublicGroup(group);
  const damaged = [snapshot.with(1, 2), snapshot.subarray(0, -1), concat(snapshot, utf8('x'))];
  for (const one of damaged) {
    expect(failureOf(() => decodePublicGroup(nodeCrypto, one)).reason).toBe('MALFORMED');
  }
});

async function withProposal(): Promise<PublicGroup> {
  const message = parseHandshake(await makeProposal({ ...scene.b }, removeOf(1)));
  if (message.kind !== 'proposal') throw new Error('it is a proposal');
  return merge(stageProposal(group, message, Date.now()));
}
