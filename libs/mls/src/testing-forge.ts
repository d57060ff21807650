import { assert } from '@roost/core/assert';
import type { Commit } from 'ts-mls/commit.js';
import { signFramedContentTBS, toTbs } from 'ts-mls/framedContent.js';
import type { FramedContent } from 'ts-mls/framedContent.js';
import { signGroupInfo } from 'ts-mls/groupInfo.js';
import type { GroupInfo } from 'ts-mls/groupInfo.js';
import { signLeafNodeCommit } from 'ts-mls/leafNode.js';
import type { LeafNode, LeafNodeCommit } from 'ts-mls/leafNode.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { Proposal } from 'ts-mls/proposal.js';
import type { Sender } from 'ts-mls/sender.js';
import { parseGroupInfo, parseHandshake } from './message.ts';
import type { PublicGroup } from './public-group.ts';
import type { Actor, MadeCommit } from './testing.ts';

/** Members that cheat and sign it: what a server must see through. */

export interface Forged {
  readonly sender?: Sender;
  readonly groupId?: Uint8Array;
  readonly epoch?: bigint;
  readonly commit?: Commit;
}

/** The commit with parts replaced, signed again by its maker. */
export async function forgeCommit(
  by: Actor,
  group: PublicGroup,
  made: MadeCommit,
  forged: Forged,
): Promise<MadeCommit> {
  const message = parseHandshake(made.tls);
  assert(message.kind === 'commit', 'a made commit is one');
  const content: FramedContent = {
    contentType: 'commit',
    groupId: forged.groupId ?? message.groupId,
    epoch: forged.epoch ?? message.epoch,
    sender: forged.sender ?? message.sender,
    authenticatedData: message.authenticatedData,
    commit: forged.commit ?? message.commit,
  };
  const signature = await sign(by, group, content);
  const { confirmationTag } = message;
  const auth = { contentType: 'commit', signature, confirmationTag } as const;
  return { ...made, tls: publicMessage(content, auth) };
}

/** A standalone proposal by any sender, signed by `by`. */
export async function forgeProposal(
  by: Actor,
  group: PublicGroup,
  sender: Sender,
  proposal: Proposal,
): Promise<Uint8Array> {
  const { groupId, epoch } = group.context;
  const authenticatedData = new Uint8Array(0);
  const content: FramedContent = {
    contentType: 'proposal',
    groupId,
    epoch,
    sender,
    authenticatedData,
    proposal,
  };
  const signature = await sign(by, group, content);
  return publicMessage(content, { contentType: 'proposal', signature });
}

/** The commit with other proposals by value and, where said, another path. */
export function commitOf(made: MadeCommit, change: (commit: Commit) => Partial<Commit>): Commit {
  const message = parseHandshake(made.tls);
  assert(message.kind === 'commit', 'a made commit is one');
  return { ...message.commit, ...change(message.commit) };
}

/** The leaf with parts replaced, signed again for its place. */
export async function forgeLeaf(
  by: Actor,
  group: PublicGroup,
  { leaf, leafIndex }: { readonly leaf: LeafNode; readonly leafIndex: number },
  forged: Partial<LeafNode>,
): Promise<LeafNodeCommit> {
  assert(leaf.leafNodeSource === 'commit', 'the leaf of a path is from a commit');
  const { groupId } = group.context;
  const tbs = { ...leaf, ...forged, leafNodeSource: 'commit', groupId, leafIndex } as const;
  const parentHash =
    'parentHash' in forged ? (forged.parentHash ?? leaf.parentHash) : leaf.parentHash;
  return signLeafNodeCommit(
    { ...tbs, parentHash },
    by.privateKeys.signaturePrivateKey,
    by.suite.signature,
  );
}

/** The GroupInfo with parts replaced, signed again by `by`. */
export async function forgeGroupInfo(
  by: Actor,
  tls: Uint8Array,
  forged: Partial<GroupInfo>,
): Promise<Uint8Array> {
  const info = { ...parseGroupInfo(tls), ...forged };
  const key = by.privateKeys.signaturePrivateKey;
  const groupInfo = await signGroupInfo(info, key, by.suite.signature);
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_group_info', groupInfo });
}

/** The same bytes but for one bit, counted from the end. */
export function flipped(bytes: Uint8Array, fromEnd: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = copy.length - 1 - fromEnd;
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

async function sign(by: Actor, group: PublicGroup, content: FramedContent): Promise<Uint8Array> {
  const tbs = toTbs(content, 'mls_public_message', group.context);
  return signFramedContentTBS(by.privateKeys.signaturePrivateKey, tbs, by.suite.signature);
}

function publicMessage(
  content: FramedContent,
  auth:
    | { contentType: 'commit'; signature: Uint8Array; confirmationTag: Uint8Array }
    | { contentType: 'proposal'; signature: Uint8Array },
): Uint8Array {
  const { senderType } = content.sender;
  // Servers cannot check membership tags: any 32 bytes will do.
  const info =
    senderType === 'member'
      ? ({ senderType, membershipTag: new Uint8Array(32) } as const)
      : ({ senderType } as const);
  return encodeMlsMessage({
    version: 'mls10',
    wireformat: 'mls_public_message',
    publicMessage: { content, auth, ...info },
  });
}
