import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { createConfirmationTag } from 'ts-mls/framedContent.js';
import { applyUpdatePathSecret, createCommit } from 'ts-mls/createCommit.js';
import { makePskIndex } from 'ts-mls/clientState.js';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { varLenTypeEncoder } from 'ts-mls/codec/variableLength.js';
import { uint16Encoder } from 'ts-mls/codec/number.js';
import { deriveSecret } from 'ts-mls/crypto/kdf.js';
import { proposeExternal } from 'ts-mls/externalProposal.js';
import { encodeExternalSenders } from 'ts-mls/externalSender.js';
import type { GroupContext } from 'ts-mls/groupContext.js';
import { acceptAll } from 'ts-mls/incomingMessageAction.js';
import { initializeEpoch } from 'ts-mls/keySchedule.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import { processMessage } from 'ts-mls/processMessages.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { toLeafIndex } from 'ts-mls/treemath.js';
import { EXTENSION, extensionOf } from './extensions.ts';
import { parseGroupInfo, parseHandshake } from './message.ts';
import { merge } from './public-group.ts';
import type { PublicGroup } from './public-group.ts';
import {
  deliver,
  foundGroup,
  makeCommit,
  makeExternalCommit,
  newActor,
  receive,
  stage,
  stateOf,
} from './testing.ts';
import type { Actor, MadeCommit } from './testing.ts';

/**
 * The defects of ts-mls 1.6.4 that `patches/ts-mls@1.6.4.patch` mends. Each of these tests fails
 * without its part of the patch.
 */

test('defect 1, §12.4.3.1: ancestors of an unmerged leaf may have different unmerged leaves', async () => {
  const crowd = await Crowd.of(6);
  const [, , c] = crowd.actors;
  await crowd.commit(c, { removed: [1, 5] });
  const added = [await newActor(nodeCrypto, 'x'), await newActor(nodeCrypto, 'y')];

  await crowd.commit(c, { added });

  for (const actor of added) expect(stateOf(actor).groupContext.epoch).toBe(4n);
});

test('defect 2, §12.4.3.2: external_pub is an HPKEPublicKey, which has its length in front', async () => {
  const founder = await newActor(nodeCrypto, 'founder');
  const group = await foundGroup(nodeCrypto, founder, utf8('g'));

  const { extensions } = parseGroupInfo(group.groupInfoTls);

  const externalPub = extensionOf(extensions, EXTENSION.externalPub);
  expect(externalPub).toHaveLength(33);
  expect(externalPub?.[0]).toBe(32);
});

test('defect 3, §7.4: who is removed from a pair does not know the next commit secret', async () => {
  const crowd = await Crowd.of(2);
  const [a, b] = crowd.actors;
  const { initSecret } = stateOf(b).keySchedule;
  const made = await crowd.commit(a, { removed: [1] });
  const zeros = new Uint8Array(32);

  const guess = await initializeEpoch(
    initSecret,
    zeros,
    made.state.groupContext,
    zeros,
    a.suite.kdf,
  );

  const { confirmationKey } = guess.keySchedule;
  const { confirmedTranscriptHash } = made.state.groupContext;
  const tag = await createConfirmationTag(confirmationKey, confirmedTranscriptHash, a.suite.hash);
  expect(tag).not.toEqual(made.state.confirmationTag);
});

test('defect 4, §7.4: the commit secret follows the last path secret, be it of the root or not', async () => {
  const crowd = await Crowd.of(4);
  const [, , c, d] = crowd.actors;
  const before = stateOf(d);
  const made = await crowd.commit(c, { removed: [0, 1] });
  const { nodeIndex, pathSecret } = await pathSecretFor(d, before, made, made.state.groupContext);
  expect(nodeIndex).toBe(5);

  const commitSecret = await deriveSecret(pathSecret, 'path', d.suite.kdf);

  const zeros = new Uint8Array(32);
  const context = made.state.groupContext;
  const { initSecret } = before.keySchedule;
  const epoch = await initializeEpoch(initSecret, commitSecret, context, zeros, d.suite.kdf);
  expect(epoch.keySchedule).toEqual(made.state.keySchedule);
});

test('defect 5, §12.1.7, §12.4: extensions change under a path made for them, and can be cleared', async () => {
  const crowd = await Crowd.of(2);
  const [a, b] = crowd.actors;
  const before = stateOf(b);
  const extensions = [{ extensionType: EXTENSION.roomState, extensionData: Uint8Array.of(1) }];

  const changed = await makeCommit(a, [contextExtensions(extensions)]);

  const commit = parseHandshake(changed.tls);
  expect(commit.kind === 'commit' && commit.commit.path).toBeDefined();
  const context = { ...changed.state.groupContext, extensions };
  const { nodeIndex } = await pathSecretFor(b, before, changed, context);
  expect(nodeIndex).toBe(1);
  await receive(b, changed.tls);
  expect(stateOf(b).groupContext).toEqual(changed.state.groupContext);

  a.state = changed.state;
  const cleared = await makeCommit(a, [contextExtensions([])]);
  await receive(b, cleared.tls);
  expect(stateOf(b).groupContext.extensions).toEqual([]);
});

test('defect 6, §12.1.8.1: external_senders is a vector, of which any may propose', async () => {
  const [founder, first, second] = await Promise.all(
    ['founder', 'first', 'second'].map((name) => newActor(nodeCrypto, name)),
  );
  if (founder === undefined || first === undefined || second === undefined) throw new Error();
  const senders = [first, second].map(({ keyPackage: { leafNode } }) => leafNode);
  const extensionData = encodeExternalSenders(senders);
  expect(extensionData[0]).toBe(0x40);
  expect(extensionData[1]).toBe(extensionData.length - 2);
  const extensions = [{ extensionType: 'external_senders' as const, extensionData }];
  const group = await foundGroup(nodeCrypto, founder, utf8('g'), extensions);

  const proposal = await proposeExternal(
    parseGroupInfo(group.groupInfoTls),
    { proposalType: 'remove', remove: { removed: 0 } },
    second.keyPackage.leafNode.signaturePublicKey,
    second.privateKeys.signaturePrivateKey,
    second.suite,
  );

  const tls = encodeMlsMessage(proposal);
  expect(parseHandshake(tls).sender).toEqual({ senderType: 'external', senderIndex: 1 });
  await receive(founder, tls);
  expect(Object.keys(stateOf(founder).unappliedProposals)).toHaveLength(1);
});

test('defect 7, §8.4: an encrypted commit finds its PSKs', async () => {
  const crowd = await Crowd.of(2);
  const [a, b] = crowd.actors;
  const pskId = utf8('psk');
  const preSharedKeyId = { psktype: 'external', pskId, pskNonce: nodeCrypto.random(32) } as const;
  const psks = { [btoa('psk')]: nodeCrypto.random(32) };
  const { newState, commit } = await createCommit(
    { state: stateOf(a), cipherSuite: a.suite, pskIndex: makePskIndex(stateOf(a), psks) },
    { extraProposals: [{ proposalType: 'psk', psk: { preSharedKeyId } }] },
  );
  if (commit.wireformat !== 'mls_private_message') throw new Error('commits are encrypted');

  const index = makePskIndex(stateOf(b), psks);
  const result = await processMessage(commit, stateOf(b), index, acceptAll, b.suite);

  expect(result.newState.keySchedule).toEqual(newState.keySchedule);
});

test('§12.4.3.2: the only member comes back by an external commit', async () => {
  const founder = await newActor(nodeCrypto, 'founder');
  const group = await foundGroup(nodeCrypto, founder, utf8('g'));

  const made = await makeExternalCommit(founder, group, true);

  expect(merge(stage(group, made)).context).toEqual(made.state.groupContext);
});

test('§7.8: leaves that come back between unmerged ones are listed in increasing order', async () => {
  const { addLeafNode } = await import('ts-mls/ratchetTree.js');
  const [actor] = (await Crowd.of(1)).actors;
  const blank = undefined;
  const leaf = { nodeType: 'leaf', leaf: actor.keyPackage.leafNode } as const;
  const parent = { hpkePublicKey: new Uint8Array(32), parentHash: new Uint8Array(0) };
  const root = { nodeType: 'parent' as const, parent: { ...parent, unmergedLeaves: [3] } };

  const [tree] = addLeafNode([leaf, blank, leaf, root, blank, blank, leaf], leaf.leaf);

  expect(tree[3]).toMatchObject({ parent: { unmergedLeaves: [2, 3] } });
});

test('§2.1.2: a vector of a hundred thousand entries is encoded without filling the stack', () => {
  const numbers = Array.from({ length: 100_000 }, () => 1);

  expect(encode(varLenTypeEncoder(uint16Encoder))(numbers)).toHaveLength(200_004);
});

/** Actors that share a group, by leaf index at the start. */
class Crowd {
  readonly actors: readonly [Actor, Actor, Actor, Actor, ...Actor[]];
  #group: PublicGroup;
  #members: readonly Actor[];

  static async of(size: number): Promise<Crowd> {
    const founder = await newActor(nodeCrypto, 'founder');
    const others: Actor[] = [];
    while (others.length < size - 1) others.push(await newActor(nodeCrypto, `${others.length}`));
    const group = await foundGroup(nodeCrypto, founder, utf8('crowd'));
    const crowd = new Crowd(founder, others, group);
    if (size > 1) await crowd.commit(founder, { added: others });
    await crowd.commit(founder, {});
    return crowd;
  }

  private constructor(founder: Actor, others: readonly Actor[], group: PublicGroup) {
    // Tests destructure no more actors than they asked for.
    const [b = founder, c = founder, d = founder, ...rest] = others;
    this.actors = [founder, b, c, d, ...rest];
    this.#members = [founder];
    this.#group = group;
  }

  async commit(
    by: Actor,
    { added = [], removed = [] }: { added?: readonly Actor[]; removed?: readonly number[] },
  ): Promise<MadeCommit> {
    const isRemoved = (member: Actor) =>
      removed.some((leafIndex) => leafIndex === stateOf(member).privatePath.leafIndex);
    const members = this.#members.filter((member) => !isRemoved(member));
    const made = await makeCommit(by, [
      ...removed.map((leafIndex): Proposal => ({
        proposalType: 'remove',
        remove: { removed: leafIndex },
      })),
      ...added.map(({ keyPackage }): Proposal => ({ proposalType: 'add', add: { keyPackage } })),
    ]);
    this.#group = await deliver(this.#group, made, by, { members, added });
    this.#members = [...members, ...added];
    return made;
  }
}

function contextExtensions(
  extensions: { readonly extensionType: number; readonly extensionData: Uint8Array }[],
): Proposal {
  return { proposalType: 'group_context_extensions', groupContextExtensions: { extensions } };
}

/** What a member decrypts of the path in a commit, from the state it had before. */
async function pathSecretFor(
  actor: Actor,
  before: ReturnType<typeof stateOf>,
  made: MadeCommit,
  { treeHash, epoch, extensions }: GroupContext,
) {
  const message = parseHandshake(made.tls);
  if (message.kind !== 'commit' || message.commit.path === undefined) throw new Error('no path');
  if (message.sender.senderType !== 'member') throw new Error('not by a member');
  return applyUpdatePathSecret(
    made.state.ratchetTree,
    before.privatePath,
    toLeafIndex(message.sender.leafIndex),
    { ...before.groupContext, treeHash, epoch, extensions },
    message.commit.path,
    [],
    actor.suite,
  );
}
