import { beforeEach, describe, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { proposeAddExternal } from 'ts-mls/externalProposal.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { parseGroupInfo, parseHandshake } from './message.ts';
import { membersOf, merge, roomOf } from './public-group.ts';
import { stageProposal } from './stage.ts';
import { decodePublicGroup, encodePublicGroup } from './stored.ts';
import { HUB, reinitOf } from './testing-checks.ts';
import { forgeProposal } from './testing-forge.ts';
import { addOf, contextOf, makeScene, removeOf, roomExtension, updateBy } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import {
  deliver,
  deliverProposal,
  makeCommit,
  makeProposal,
  receive,
  stage,
  stateOf,
} from './testing.ts';
import type { Actor } from './testing.ts';

/** What members and senders outside may propose, taken through the server and every member. */

let scene: TestScene;

beforeEach(async () => {
  scene = await makeScene(nodeCrypto);
});

describe.each<[who: string, propose: (actor: Actor, proposal: Proposal) => Promise<Uint8Array>]>([
  ['a member', (actor, proposal) => makeProposal(actor, proposal)],
  ['the hub', (_, proposal) => forgeProposal(scene.hub, scene.group, HUB, proposal)],
])('by reference, of %s', (who, propose) => {
  test('a Remove is committed by another', async () => {
    const { group, added, removed } = await commitOf(removeOf(2));

    expect([added.length, removed]).toEqual([0, [2]]);
    expect(membersOf(group)).toEqual([0, 1]);
  });

  test('an Add is committed by another, and the one added joins', async () => {
    const { group, added } = await commitOf(addOf(scene.outsider), [scene.outsider]);

    expect(added.map(({ leafIndex }) => leafIndex)).toEqual([3]);
    expect(encodeGroupContext(stateOf(scene.outsider).groupContext)).toEqual(group.contextTls);
  });

  test('another context is committed by another', async () => {
    const { extensions } = scene.group.context;
    const others = extensions.filter(({ extensionType }) => extensionType === 'external_senders');
    const { group } = await commitOf(contextOf(...others, roomExtension('renamed')));

    expect(roomOf(group).sealedTitle).toEqual(utf8('renamed'));
  });

  test('a ReInit is committed by another, and said by what is staged', async () => {
    const { reinit } = await commitOf(reinitOf({}));

    expect(reinit).toMatchObject({ groupId: utf8('next') });
  });

  /** What follows where b or the hub proposes and a commits; everybody is in the same epoch. */
  async function commitOf(proposal: Proposal, joiners: readonly Actor[] = []) {
    const { a, b, c, group } = scene;
    const by = who === 'a member' ? b : scene.hub;
    const pending = await deliverProposal(group, await propose(by, proposal), by, [a, b, c]);
    const made = await makeCommit(a);
    const staged = stage(decodePublicGroup(nodeCrypto, encodePublicGroup(pending)), made);
    const isGone = ({ name }: Actor) => name === 'c' && staged.removed.includes(2);
    const members = [a, b, c].filter((actor) => !isGone(actor));
    const next = await deliver(pending, made, a, { members, added: joiners });
    for (const member of [...members, ...joiners]) {
      expect(encodeGroupContext(stateOf(member).groupContext)).toEqual(next.contextTls);
    }
    const { added, removed, reinit } = staged;
    expect(staged.proposals[0]).toMatchObject({
      actor: by === b ? { kind: 'member', leafIndex: 1 } : { kind: 'external', senderIndex: 0 },
      ref: expect.any(Uint8Array),
    });
    return { group: next, added, removed, reinit };
  }
});

test('§12.1.4: the same PSK is proposed by the hub and a member', async () => {
  const { b, hub, group } = scene;
  const preSharedKeyId = {
    psktype: 'resumption',
    usage: 'application',
    pskGroupId: group.context.groupId,
    pskEpoch: 1n,
    pskNonce: nodeCrypto.random(32),
  } as const;
  const psk: Proposal = { proposalType: 'psk', psk: { preSharedKeyId } };
  const once = await deliverProposal(group, await makeProposal(b, psk), b, []);
  const twice = await deliverProposal(once, await forgeProposal(hub, group, HUB, psk), hub, []);

  expect(twice.proposals.size).toBe(2);
});

test('§12.3: the Update of another renews the leaf of that one', async () => {
  const { a, b, group } = scene;
  const tls = await makeProposal(b, await updateBy(group, b, 1));

  const pending = await deliverProposal(group, tls, b, [a]);
  const { updated, next } = stage(pending, await makeCommit(a));

  expect(updated).toEqual([1, 0]);
  expect(next.tree.leafAt(1)?.node.leafNodeSource).toBe('update');
});

test('§12.1.8: where it is admitted, somebody proposes itself and is committed', async () => {
  const { a, b, c, group, outsider } = scene;
  const info = parseGroupInfo(group.groupInfoTls);
  const { keyPackage, privateKeys, suite } = outsider;
  const tls = encodeMlsMessage(await proposeAddExternal(info, keyPackage, privateKeys, suite));
  const message = parseHandshake(tls);
  if (message.kind !== 'proposal') throw new Error('it is a proposal');

  const admitted = { admitNewMemberProposals: true };
  const { next, actor } = stageProposal(group, message, Date.now(), admitted);
  for (const member of [a, b, c]) await receive(member, tls);
  const stored = decodePublicGroup(nodeCrypto, encodePublicGroup(next));
  const made = await makeCommit(a);
  const staged = stage(stored, made);
  await deliver(stored, made, a, { members: [b, c], added: [outsider] });

  expect(actor).toEqual({ kind: 'newcomer' });
  expect(staged.proposals.map((proposal) => proposal.actor)).toEqual([{ kind: 'newcomer' }]);
  expect(encodeGroupContext(stateOf(outsider).groupContext)).toEqual(merge(staged).contextTls);
});
