import { beforeAll, describe, expect, test } from '@jest/globals';
import { compare, utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import type { Extension } from 'ts-mls/extension.js';
import type { GroupContext } from 'ts-mls/groupContext.js';
import type { GroupInfo } from 'ts-mls/groupInfo.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { Welcome } from 'ts-mls/welcome.js';
import { parseHandshake, parseWelcome } from './message.ts';
import { merge } from './public-group.ts';
import { stageProposal } from './stage.ts';
import { encodePublicGroup } from './stored.ts';
import { flipped, forgeCommit, forgeGroupInfo, forgeProposal } from './testing-forge.ts';
import type { Forged } from './testing-forge.ts';
import { addOf, citing, failureOf, makeScene, removeOf, updateBy } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { makeCommit, makeExternalCommit, makeProposal, stage } from './testing.ts';

const OTHER_SUITE = 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519';

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

describe('a commit', () => {
  test.each<[rule: string, what: string, forged: Forged]>([
    ['§6', 'for another group', { groupId: utf8('another') }],
    ['§6', 'by a blank leaf', { sender: { senderType: 'member', leafIndex: 3 } }],
    ['§6', 'by an external sender', { sender: { senderType: 'external', senderIndex: 0 } }],
    ['§12.1.8', 'by nobody we know', { sender: { senderType: 'external', senderIndex: 1 } }],
    ['§12.1.8', 'by who proposes itself', { sender: { senderType: 'new_member_proposal' } }],
    ['§6.1', 'in the name of another', { sender: { senderType: 'member', leafIndex: 1 } }],
  ])('%s: %s is refused', async (rule, _, forged) => {
    const { group, a, update } = scene;
    const made = await forgeCommit(a, group, update, forged);
    const failure = failureOf(() => stage(group, made));
    expect(failure.reason).toBe('INVALID_MLS');
    expect(failure.message).toContain(citing(rule));
  });

  test('§6.1: with one bit changed is refused', () => {
    const { group, update } = scene;
    // Behind the signature come two tags of 33 bytes, which a server cannot check.
    const tls = flipped(update.tls, 66);
    expect(failureOf(() => stage(group, { ...update, tls })).message).toContain(citing('§6.1'));
  });
});

describe('the GroupInfo of a commit', () => {
  test('of another epoch is refused', () => {
    const { group, update } = scene;
    const made = { ...update, groupInfo: group.groupInfoTls };
    expect(failureOf(() => stage(group, made)).reason).toBe('GROUP_INFO_MISMATCH');
  });

  const externalPub = (extensionData: Uint8Array): Extension => ({
    extensionType: 'external_pub',
    extensionData,
  });
  const otherContext: GroupContext = {
    version: 'mls10',
    cipherSuite: OTHER_SUITE,
    groupId: utf8('group'),
    epoch: 2n,
    treeHash: new Uint8Array(32),
    confirmedTranscriptHash: new Uint8Array(32),
    extensions: [],
  };
  const key = externalPub(Uint8Array.of(32, ...new Uint8Array(32)));
  const tree: Extension = { extensionType: 'ratchet_tree', extensionData: utf8('') };
  const short = externalPub(Uint8Array.of(1, 1));
  test.each<[what: string, why: string, by: 'a' | 'b', forged: Partial<GroupInfo>]>([
    ['of another version of the group', 'epoch', 'a', { groupContext: otherContext }],
    ['with another tag', 'confirmation tag', 'a', { confirmationTag: new Uint8Array(32) }],
    ['by another member', 'signed by the committer', 'b', { signer: 1 }],
    ['that its signer did not sign', 'signature', 'b', {}],
    ['without external_pub', 'no external_pub', 'a', { extensions: [] }],
    ['with external_pub twice', 'twice', 'a', { extensions: [key, key] }],
    ['with a short external_pub', 'not a key', 'a', { extensions: [short] }],
    ['with bytes for a key', 'not a key', 'a', { extensions: [externalPub(new Uint8Array(33))] }],
    ['with the ratchet tree', 'ratchet tree', 'a', { extensions: [key, tree] }],
  ])('%s is refused', async (_, why, by, forged) => {
    const { group, update } = scene;
    const groupInfo = await forgeGroupInfo(scene[by], update.groupInfo, forged);
    const failure = failureOf(() => stage(group, { ...update, groupInfo }));
    expect(failure.reason).toBe('GROUP_INFO_MISMATCH');
    expect(failure.message).toContain(why);
  });
});

test('§12.4.3.1: a Welcome is there where a commit adds somebody, for exactly those', async () => {
  const { group, a, hub, add, update } = scene;
  const other = await makeCommit(a, [addOf(hub)]);
  const both = await makeCommit(a, [addOf(hub), addOf(scene.outsider)]);
  const made = [
    { ...add, welcome: undefined },
    { ...update, welcome: add.welcome },
    { ...add, welcome: other.welcome },
    { ...add, welcome: both.welcome },
    { ...add, welcome: welcomeLike(add.welcome, { cipherSuite: OTHER_SUITE }) },
    { ...update, welcome: welcomeLike(add.welcome, { secrets: [] }) },
  ];
  for (const one of made) {
    expect(failureOf(() => stage(group, one)).reason).toBe('WELCOME_MISMATCH');
  }
});

describe('a standalone proposal', () => {
  const member = { senderType: 'member', leafIndex: 1 } as const;
  const external = { senderType: 'external', senderIndex: 0 } as const;
  const init = { proposalType: 'external_init', externalInit: { kemOutput: utf8('') } } as const;
  test.each<[rule: string, what: string, made: () => Promise<Uint8Array>]>([
    ['§12.1.3', 'to remove nobody', () => forgeProposal(scene.b, scene.group, member, removeOf(7))],
    ['§12.1.6', 'of an ExternalInit', () => forgeProposal(scene.b, scene.group, member, init)],
    [
      '§12.1.8',
      'of an Update by an external sender',
      async () => {
        const { hub, group, b } = scene;
        return forgeProposal(hub, group, external, await updateBy(group, b, 1));
      },
    ],
    [
      '§12.1.8',
      'of oneself as a member',
      () => {
        const { outsider, group } = scene;
        const sender = { senderType: 'new_member_proposal' } as const;
        return forgeProposal(outsider, group, sender, addOf(outsider));
      },
    ],
    [
      '§6',
      'by who enters with a commit',
      () => {
        const sender = { senderType: 'new_member_commit' } as const;
        return forgeProposal(scene.outsider, scene.group, sender, removeOf(1));
      },
    ],
    [
      '§12.1.8',
      'by an external sender that there is not',
      () => {
        const sender = { ...external, senderIndex: 1 };
        return forgeProposal(scene.hub, scene.group, sender, removeOf(1));
      },
    ],
    [
      '§6.1',
      'in the name of the hub',
      () => forgeProposal(scene.b, scene.group, external, removeOf(1)),
    ],
    [
      '§7.3',
      'of a leaf signed for another place',
      async () => {
        const { b, group } = scene;
        return forgeProposal(b, group, member, await updateBy(group, b, 2));
      },
    ],
  ])('%s: %s is refused', async (rule, _, made) => {
    const message = parseHandshake(await made());
    if (message.kind !== 'proposal') throw new Error('it is a proposal');
    const failure = failureOf(() => stageProposal(scene.group, message, Date.now()));
    expect(failure.message).toContain(citing(rule));
  });

  test('waits for a commit, goes with its epoch, and is there once however often it comes', async () => {
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

function welcomeLike(tls: Uint8Array | undefined, change: Partial<Welcome>): Uint8Array {
  if (tls === undefined) throw new Error('there is a Welcome');
  const welcome = { ...parseWelcome(tls), ...change };
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome });
}
