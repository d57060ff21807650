import { beforeAll, expect, test } from '@jest/globals';
import { compare } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { parseHandshake } from './message.ts';
import { merge } from './public-group.ts';
import { stageProposal } from './stage.ts';
import { encodePublicGroup } from './stored.ts';
import { flipped, forgeCommit } from './testing-forge.ts';
import { citing, contextOf, failureOf, makeScene, removeOf } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { makeExternalCommit, makeProposal, stage } from './testing.ts';

let scene: TestScene;

beforeAll(async () => {
  scene = await makeScene(nodeCrypto);
});

test('what an honest member commits is staged, and nothing is changed by staging', () => {
  const { group, add, update } = scene;
  const before = encodePublicGroup(group);

  const { next, added, updated, actor } = stage(group, add);

  expect(next.context).toEqual(add.state.groupContext);
  expect(added.map(({ leafIndex }) => leafIndex)).toEqual([3]);
  expect(updated).toEqual([]);
  expect(actor).toEqual({ kind: 'member', leafIndex: 0 });
  expect(stage(group, update).updated).toEqual([0]);
  expect(compare(encodePublicGroup(group), before)).toBe(0);
});

test('a resync says whom it removes and where the joiner is', async () => {
  const { group, b } = scene;
  const { actor, added, removed } = stage(group, await makeExternalCommit(b, group, true));

  expect(actor).toEqual({ kind: 'joiner', leafIndex: 1 });
  expect(removed).toEqual([1]);
  expect(added).toEqual([]);
});

test('§12.4.2: a commit for another epoch is told apart and told the current one', async () => {
  const { group, a, update } = scene;
  const late = await forgeCommit(a, group, update, { epoch: 0n });
  const early = await forgeCommit(a, group, update, { epoch: 2n });

  expect(failureOf(() => stage(group, late))).toMatchObject({
    reason: 'EPOCH_TOO_OLD',
    facts: { currentEpoch: 1n },
  });
  expect(failureOf(() => stage(group, early)).reason).toBe('EPOCH_UNKNOWN');
});

test('§6.1: a commit with one bit changed is refused', () => {
  const { group, update } = scene;
  // Behind the signature come two tags of 33 bytes, which a server cannot check.
  const tls = flipped(update.tls, 66);
  expect(failureOf(() => stage(group, { ...update, tls })).message).toContain(citing('§6.1'));
});

test('a standalone proposal waits for a commit, goes with its epoch, and is there once however often it comes', async () => {
  const { group, b, update } = scene;
  const message = parseHandshake(await makeProposal({ ...b }, removeOf(1)));
  if (message.kind !== 'proposal') throw new Error('it is a proposal');

  const once = merge(stageProposal(group, message, Date.now()));
  const twice = merge(stageProposal(once, message, Date.now()));

  expect(twice.proposals.size).toBe(1);
  const { next, removed } = stage(twice, update);
  expect(next.proposals.size).toBe(0);
  expect(removed).toEqual([]);
});

test('no more than a thousand proposals wait', async () => {
  const { group, b } = scene;
  const message = parseHandshake(await makeProposal({ ...b }, removeOf(1)));
  if (message.kind !== 'proposal') throw new Error('it is a proposal');
  const [pending] = merge(stageProposal(group, message, Date.now())).proposals.values();
  if (pending === undefined) throw new Error('it waits');
  const full = new Map(Array.from({ length: 1_000 }, (_, at) => [`${at}`, pending]));

  const run = () => stageProposal({ ...group, proposals: full }, message, Date.now());

  expect(failureOf(run).reason).toBe('LIMIT_REACHED');
});

test('no more than 2 MiB of proposals wait', async () => {
  const { group, b } = scene;
  const large = contextOf({ extensionType: 0xf1ff, extensionData: new Uint8Array(200_000) });
  const message = parseHandshake(await makeProposal({ ...b }, large));
  if (message.kind !== 'proposal') throw new Error('it is a proposal');
  const [pending] = merge(stageProposal(group, message, Date.now())).proposals.values();
  if (pending === undefined) throw new Error('it waits');
  const ten = new Map(Array.from({ length: 10 }, (_, at) => [`${at}`, pending]));

  const run = () => stageProposal({ ...group, proposals: ten }, message, Date.now());

  expect(failureOf(run).reason).toBe('LIMIT_REACHED');
});
