import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';
import type { CiphersuiteName } from 'ts-mls/crypto/ciphersuite.js';
import { signWithLabel } from 'ts-mls/crypto/signature.js';
import type { Extension } from 'ts-mls/extension.js';
import { encodeExternalSenders } from 'ts-mls/externalSender.js';
import { signKeyPackage } from 'ts-mls/keyPackage.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import { encodeLeafNodeTBS } from 'ts-mls/leafNode.js';
import type { LeafNodeData } from 'ts-mls/leafNode.js';
import type { Proposal } from 'ts-mls/proposal.js';
import type { ProposalOrRef } from 'ts-mls/proposalOrRefType.js';
import { EXTENSION } from './extensions.ts';
import { ciphersuiteOf, SUITE_1 } from './provider.ts';
import type { PublicGroup } from './public-group.ts';
import { encodeRoomState } from './room.ts';
import { templateNamed } from './templates.ts';
import { commitOf, forgeCommit } from './testing-forge.ts';
import { deliver, foundGroup, makeCommit, makeExternalCommit, newActor } from './testing.ts';
import type { Actor, MadeCommit } from './testing.ts';

/** A group at epoch 1 of a, b and c (leaves 0 to 2), and three commits that it would take. */
export interface TestScene {
  readonly crypto: Crypto;
  readonly group: PublicGroup;
  readonly a: Actor;
  readonly b: Actor;
  readonly c: Actor;
  /** An external sender of the group. */
  readonly hub: Actor;
  /** Not a member. */
  readonly outsider: Actor;
  /** By a, with a path and no proposals. */
  readonly update: MadeCommit;
  /** By a, of the outsider, without a path. */
  readonly add: MadeCommit;
  /** By the outsider. */
  readonly external: MadeCommit;
}

export async function makeScene(
  crypto: Crypto,
  name: CiphersuiteName = SUITE_1,
): Promise<TestScene> {
  const suite = ciphersuiteOf(crypto, name);
  const a = await newActor(crypto, 'a', { suite });
  const b = await newActor(crypto, 'b', { suite });
  const c = await newActor(crypto, 'c', { suite });
  const hub = await newActor(crypto, 'hub', { suite });
  const outsider = await newActor(crypto, 'outsider', { suite });
  const extensionData = encodeExternalSenders([hub.keyPackage.leafNode]);
  const founded = await foundGroup(crypto, a, utf8('group'), [
    roomExtension('title'),
    { extensionType: 'external_senders', extensionData },
  ]);
  const filled = await makeCommit(a, [addOf(b), addOf(c)]);
  const group = await deliver(founded, filled, a, { members: [a], added: [b, c] });
  return {
    ...{ crypto, group, a, b, c, hub, outsider },
    update: await makeCommit(a),
    add: await makeCommit(a, [addOf(outsider)]),
    external: await makeExternalCommit(outsider, group),
  };
}

/** The refusal that a run ends in. */
export function failureOf(run: () => unknown): Failure {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** How a refusal names the section that was broken. */
export function citing(section: string): string {
  return `RFC 9420 ${section})`;
}

/** A commit of a with these proposals by value instead of its own. */
export function withProposals(
  scene: TestScene,
  made: MadeCommit,
  proposals: readonly Proposal[],
): Promise<MadeCommit> {
  const commit = commitOf(made, () => ({ proposals: byValue(...proposals) }));
  return forgeCommit(scene.a, scene.group, made, { commit });
}

export function byValue(...proposals: readonly Proposal[]): ProposalOrRef[] {
  return proposals.map((proposal) => ({ proposalOrRefType: 'proposal', proposal }));
}

export function addOf({ keyPackage }: Pick<Actor, 'keyPackage'>): Proposal {
  return { proposalType: 'add', add: { keyPackage } };
}

export function removeOf(removed: number): Proposal {
  return { proposalType: 'remove', remove: { removed } };
}

export function contextOf(...extensions: Extension[]): Proposal {
  return { proposalType: 'group_context_extensions', groupContextExtensions: { extensions } };
}

/** An Add of the outsider's KeyPackage with parts replaced, signed again by its owner. */
export async function addSigned(
  { outsider }: TestScene,
  change: (keyPackage: KeyPackage) => Partial<KeyPackage>,
): Promise<Proposal> {
  const { keyPackage, privateKeys, suite } = outsider;
  const forged = { ...keyPackage, ...change(keyPackage) };
  const signed = await signKeyPackage(forged, privateKeys.signaturePrivateKey, suite.signature);
  return addOf({ keyPackage: signed });
}

/** An Update by an actor, with parts replaced, signed for that place in the group. */
export async function updateBy(
  group: PublicGroup,
  { keyPackage, privateKeys, suite }: Actor,
  leafIndex: number,
  forged: Partial<LeafNodeData & { readonly extensions: Extension[] }> = {},
): Promise<Proposal> {
  const { publicKey } = await suite.hpke.generateKeyPair();
  const hpkePublicKey = await suite.hpke.exportPublicKey(publicKey);
  const place = { groupId: group.context.groupId, leafIndex };
  const source = { leafNodeSource: 'update' } as const;
  const tbs = { ...keyPackage.leafNode, ...source, hpkePublicKey, ...place, ...forged };
  const content = encodeLeafNodeTBS(tbs);
  const key = privateKeys.signaturePrivateKey;
  const signature = await signWithLabel(key, 'LeafNodeTBS', content, suite.signature);
  return { proposalType: 'update', update: { leafNode: { ...tbs, signature } } };
}

export function roomExtension(title: string): Extension {
  const { kind, defaultRole, roles } = templateNamed('cooperative');
  const sealedTitle = utf8(title);
  const extensionData = encodeRoomState({ kind, defaultRole, roles, sealedTitle, entries: [] });
  return { extensionType: EXTENSION.roomState, extensionData };
}
