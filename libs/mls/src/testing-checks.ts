import { utf8 } from '@roost/core/bytes';
import type { Reason } from '@roost/core/failure';
import type { Commit } from 'ts-mls/commit.js';
import type { Extension } from 'ts-mls/extension.js';
import { signKeyPackage } from 'ts-mls/keyPackage.js';
import { signLeafNodeKeyPackage } from 'ts-mls/leafNode.js';
import type { LeafNode, LeafNodeKeyPackage } from 'ts-mls/leafNode.js';
import type { PreSharedKeyID } from 'ts-mls/presharedkey.js';
import type { Proposal, Reinit } from 'ts-mls/proposal.js';
import type { ProposalOrRef } from 'ts-mls/proposalOrRefType.js';
import type { Sender } from 'ts-mls/sender.js';
import { parseHandshake } from './message.ts';
import { SUITE_1 } from './provider.ts';
import type { PublicGroup } from './public-group.ts';
import { stageProposal } from './stage.ts';
import type { ProposalRules } from './stage.ts';
import { commitOf, forgeCommit, forgeLeaf, forgeProposal } from './testing-forge.ts';
import { addOf, byValue } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { stage } from './testing.ts';
import type { Actor, MadeCommit } from './testing.ts';

/**
 * The catalogue of what a server can check of a message (standards §2.1): one row for each check,
 * in which somebody of a group cheats in one point and signs it. `checks.test.ts` runs it.
 */
export interface Check {
  /** The sentence of the refusal, or the part of it that is its own. */
  readonly says: string;
  /** What the message is that is refused. */
  readonly of: string;
  readonly reason?: Reason;
  readonly make: (scene: TestScene) => Promise<Attempt> | Attempt;
}

export interface Attempt {
  readonly group: PublicGroup;
  readonly run: () => unknown;
}

export const HUB = { senderType: 'external', senderIndex: 0 } as const;
export const NEWCOMER = { senderType: 'new_member_proposal' } as const;

export function memberAt(leafIndex: number): Sender {
  return { senderType: 'member', leafIndex };
}

export function staging(group: PublicGroup, made: MadeCommit): Attempt {
  return { group, run: () => stage(group, made) };
}

/** The update of a with its commit changed, signed by a. */
export async function commitLike(
  { group, a, update }: TestScene,
  change: (commit: Commit) => Partial<Commit>,
): Promise<Attempt> {
  const commit = commitOf(update, change);
  return staging(group, await forgeCommit(a, group, update, { commit }));
}

/** The update of a with these proposals by value. */
export function committing(scene: TestScene, ...proposals: readonly Proposal[]): Promise<Attempt> {
  return commitLike(scene, () => ({ proposals: byValue(...proposals) }));
}

/** The external commit of the outsider with its commit changed, signed by the outsider. */
export async function externalLike(
  { group, outsider, external }: TestScene,
  change: (commit: Commit) => Partial<Commit>,
): Promise<Attempt> {
  const commit = commitOf(external, change);
  return staging(group, await forgeCommit(outsider, group, external, { commit }));
}

/** The external commit with these proposals by value besides its own. */
export function entering(scene: TestScene, ...proposals: readonly Proposal[]): Promise<Attempt> {
  return externalLike(scene, (commit) => ({
    proposals: [...commit.proposals, ...byValue(...proposals)],
  }));
}

/** A proposal ahead of its commit, from this sender and signed by `by`. */
export async function proposing(
  { group }: TestScene,
  by: Actor,
  sender: Sender,
  { proposal, rules }: { readonly proposal: Proposal; readonly rules?: ProposalRules },
): Promise<Attempt> {
  const tls = await forgeProposal(by, group, sender, proposal);
  const run = () => {
    const message = parseHandshake(tls);
    if (message.kind !== 'proposal') throw new Error('it is a proposal');
    return stageProposal(group, message, Date.now(), rules);
  };
  return { group, run };
}

export function referencesIn({ proposals }: PublicGroup): ProposalOrRef[] {
  return [...proposals.values()].map(({ ref }) => ({
    proposalOrRefType: 'reference',
    reference: ref,
  }));
}

/** The update of a with its path's leaf changed and signed again, for this place. */
export function pathLeaf(
  scene: TestScene,
  forged: (leaf: LeafNode) => Partial<LeafNode>,
  leafIndex = 0,
): Promise<Attempt> {
  return withPathLeaf(scene, (leaf) =>
    forgeLeaf(scene.a, scene.group, { leaf, leafIndex }, forged(leaf)),
  );
}

/** The update of a with its path's leaf replaced. */
export async function withPathLeaf(
  scene: TestScene,
  change: (leaf: LeafNode) => Promise<LeafNode> | LeafNode,
): Promise<Attempt> {
  const { path } = commitOf(scene.update, () => ({}));
  if (path === undefined) throw new Error('an update has a path');
  const leafNode = await change(path.leafNode);
  if (leafNode.leafNodeSource !== 'commit') throw new Error('it is the leaf of a commit');
  return commitLike(scene, () => ({ path: { ...path, leafNode } }));
}

/** An Add of the outsider whose leaf was changed; both signatures are made again. */
export async function addLeaf(
  { outsider }: TestScene,
  change: (leaf: LeafNodeKeyPackage) => Partial<LeafNodeKeyPackage>,
): Promise<Proposal> {
  const { keyPackage, privateKeys, suite } = outsider;
  const key = privateKeys.signaturePrivateKey;
  const forged = { ...keyPackage.leafNode, ...change(keyPackage.leafNode) };
  const leafNode = await signLeafNodeKeyPackage(forged, key, suite.signature);
  return addOf({
    keyPackage: await signKeyPackage({ ...keyPackage, leafNode }, key, suite.signature),
  });
}

export const OTHER_SUITE = 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519';

export function extension(extensionType: number, contents?: Uint8Array): Extension {
  return { extensionType, extensionData: contents ?? new Uint8Array(0) };
}

export function initOf(bytes: number): Proposal {
  return { proposalType: 'external_init', externalInit: { kemOutput: new Uint8Array(bytes) } };
}

export function pskOf(preSharedKeyId: PreSharedKeyID): Proposal {
  return { proposalType: 'psk', psk: { preSharedKeyId } };
}

/** A ReInit to a group "next" that is like the one of the scene. */
export function reinitOf(forged: Partial<Reinit>): Proposal {
  const next = { groupId: utf8('next'), version: 'mls10', cipherSuite: SUITE_1 } as const;
  return { proposalType: 'reinit', reinit: { ...next, extensions: [], ...forged } };
}
