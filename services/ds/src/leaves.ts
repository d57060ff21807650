import { decodeQueueConfig } from '@roost/bus/queue-config';
import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import {
  decodeAddedLeaf,
  decodeCommitAad,
  encodeAddedLeaf,
  decodeLeafIdentity,
} from '@roost/identity/leaf';
import { identityOf } from '@roost/mls/key-package';
import { leafOf } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { parseParticipantId, participantBytes } from '@roost/mls/room';
import type { ParticipantId } from '@roost/mls/room';
import type { Desk } from './desk.ts';
import type { Member, QueueConfig } from './domain/roster.ts';

type Leaf = NonNullable<ReturnType<typeof leafOf>>;

/** What is declared of a leaf when it enters, by whoever brings it in. */
export interface DeclaredLeaf {
  readonly leafSignatureKey: Uint8Array;
  readonly participant: ParticipantId;
  readonly wrappedLinkKey: Uint8Array;
}

export function parseDeclaredLeaf(bytes: Uint8Array): DeclaredLeaf {
  return declared(decodeAddedLeaf(bytes));
}

/** The leaves that a commit's authenticated data declares (CommitAad). */
export function parseDeclaredLeaves(authenticatedData: Uint8Array): DeclaredLeaf[] {
  return decodeCommitAad(authenticatedData).added.map(declared);
}

/** A leaf's declaration as members hold it: what they find its link key in. */
export function linkOf(member: Member): { leafIndex: number; addedLeaf: Uint8Array } {
  const { leafIndex, signatureKey, participant, wrappedLinkKey } = member;
  const addedLeaf = encodeAddedLeaf({
    leafSignatureKey: signatureKey,
    participantId: participantBytes(participant),
    wrappedLinkKey,
  });
  return { leafIndex, addedLeaf };
}

/** Refuses leaves that are not pseudonyms: nothing else may get into a tree (design §3). */
export function assertPseudonym(leaf: Leaf): void {
  decodeLeafIdentity(identityOf(leaf));
}

/**
 * A member may renew its identity link, not become somebody else: its key, its pseudonym and its
 * link key are what the others hold of it.
 */
export function assertSameLeaf(
  before: PublicGroup,
  after: PublicGroup,
  leafIndex: number,
  leafIndexAfter = leafIndex,
): void {
  const [old, renewed] = [leafOf(before, leafIndex), leafOf(after, leafIndexAfter)];
  if (old === undefined || renewed === undefined) return;
  const was = decodeLeafIdentity(identityOf(old));
  const is = decodeLeafIdentity(identityOf(renewed));
  const isSame =
    equal(old.signaturePublicKey, renewed.signaturePublicKey) &&
    equal(was.pseudonym, is.pseudonym) &&
    equal(was.linkKeyHash, is.linkKeyHash);
  if (isSame) return;
  throw new Failure('NOT_ALLOWED', 'a member keeps its signature key, pseudonym and link key');
}

/**
 * Parses where a member's messages go: to the homeserver that it comes from, and to no other, as nobody
 * else can be made to get what was not asked for.
 */
export function parseQueueConfig(bytes: Uint8Array, from: Domain, field: string): QueueConfig {
  const queue = readQueueConfig(bytes, field);
  if (queue.domain === from) return queue;
  throw new Failure('FEDERATION_DENIED', `${field}: a member is reached at its own homeserver`);
}

/** Parses where the messages of somebody go who is added: anywhere, where other homeservers are reached. */
export function parseAddedQueueConfig(
  bytes: Uint8Array,
  { config, isFederated }: Pick<Desk, 'config' | 'isFederated'>,
  field: string,
): QueueConfig {
  const queue = readQueueConfig(bytes, field);
  if (isFederated || queue.domain === config.domain) return queue;
  throw new Failure(
    'FEDERATION_DENIED',
    'federation is not configured: this homeserver delivers to its own users only',
  );
}

function readQueueConfig(bytes: Uint8Array, field: string): QueueConfig {
  if (bytes.length > QUEUE_CONFIG_BYTES_MAX) throw malformed(field, 'is longer than 512 bytes');
  return decodeQueueConfig(bytes);
}

const QUEUE_CONFIG_BYTES_MAX = 512;

function declared(added: ReturnType<typeof decodeAddedLeaf>): DeclaredLeaf {
  return {
    leafSignatureKey: added.leafSignatureKey,
    participant: parseParticipantId(added.participantId),
    wrappedLinkKey: added.wrappedLinkKey,
  };
}
