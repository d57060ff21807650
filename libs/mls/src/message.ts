import { assert } from '@roost/core/assert';
import { compare, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Commit } from 'ts-mls/commit.js';
import type { GroupInfo } from 'ts-mls/groupInfo.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import { decodeMlsMessage, encodeMlsMessage } from 'ts-mls/message.js';
import type { MLSMessage } from 'ts-mls/message.js';
import type { Proposal } from 'ts-mls/proposal.js';
import type { PublicMessage } from 'ts-mls/publicMessage.js';
import type { Sender } from 'ts-mls/sender.js';
import type { Welcome } from 'ts-mls/welcome.js';
import { AEAD_TAG_BYTES, GROUP_EXTENSIONS_BYTES_MAX, walkMessage } from './shape.ts';
import type { Ends } from './shape.ts';

/** A commit or proposal as it came in, taken apart once. */
export type HandshakeMessage = CommitMessage | ProposalMessage;

export interface CommitMessage extends Handshake {
  readonly kind: 'commit';
  readonly commit: Commit;
  readonly confirmationTag: Uint8Array;
}

export interface ProposalMessage extends Handshake {
  readonly kind: 'proposal';
  readonly proposal: Proposal;
}

interface Handshake {
  /** The whole MLSMessage. All other bytes here are views on it. */
  readonly tls: Uint8Array;
  readonly groupId: Uint8Array;
  readonly epoch: bigint;
  readonly sender: Sender;
  readonly authenticatedData: Uint8Array;
  readonly signature: Uint8Array;
  /** Only members have one, and only they can check it (§6.2). */
  readonly membershipTag: Uint8Array | undefined;
  /** `version, wire_format, content`: with the GroupContext behind, FramedContentTBS (§6.1). */
  readonly signedPart: Uint8Array;
  /** `wire_format, content, auth`: the AuthenticatedContent that a ProposalRef hashes (§5.2). */
  readonly authenticatedContent: Uint8Array;
}

/** What is readable of an application message without being a member. */
export interface ApplicationMessage {
  readonly tls: Uint8Array;
  readonly groupId: Uint8Array;
  readonly epoch: bigint;
  readonly authenticatedData: Uint8Array;
}

/**
 * How long a handshake message of a group can be that brings in so many: known before it is parsed.
 * There is room for a ciphertext to every member and a KeyPackage of everybody added in the sizes
 * of ML-KEM-1024 and ML-DSA-87, whatever the suite; and for as large a GroupContext as a group has.
 */
export function handshakeBytesMax(members: number, adds: number): number {
  const size = FIXED_BYTES + members * CIPHERTEXT_BYTES + adds * KEY_PACKAGE_BYTES;
  return Math.min(size, HANDSHAKE_BYTES_MAX);
}

const KIB = 1024;
/** design §2. */
const HANDSHAKE_BYTES_MAX = 2_048 * KIB;
/** The extensions of a group, its authenticated data, 32 keys, 1,280 references, the own leaf. */
const FIXED_BYTES = GROUP_EXTENSIONS_BYTES_MAX + 192 * KIB;
const CIPHERTEXT_BYTES = 1_664;
/** §6.3.2: leaf index, generation, reuse guard, each of four bytes. */
const SENDER_DATA_BYTES = 12 + AEAD_TAG_BYTES;
const KEY_PACKAGE_BYTES = 24 * KIB;

/**
 * Parses a handshake message. Only PublicMessage is taken, because the DS examines what it orders
 * (RFC 9420 §6 lets an application choose).
 */
export function parseHandshake(tls: Uint8Array): HandshakeMessage {
  const { bytes, message, ends } = decodeMessage(tls, 'handshake message');
  if (message.wireformat !== 'mls_public_message') {
    throw invalid('a handshake message is not a PublicMessage (RFC 9420 §6)');
  }
  const { publicMessage } = message;
  const { content, auth } = publicMessage;
  const handshake: Handshake = {
    tls: bytes,
    groupId: content.groupId,
    epoch: content.epoch,
    sender: content.sender,
    authenticatedData: content.authenticatedData,
    signature: auth.signature,
    membershipTag: publicMessage.senderType === 'member' ? publicMessage.membershipTag : undefined,
    signedPart: bytes.subarray(0, ends.content),
    authenticatedContent: bytes.subarray(2, ends.auth),
  };
  if (content.contentType === 'proposal') {
    return { ...handshake, kind: 'proposal', proposal: content.proposal };
  }
  if (content.contentType === 'commit' && auth.contentType === 'commit') {
    const { confirmationTag } = auth;
    return { ...handshake, kind: 'commit', commit: content.commit, confirmationTag };
  }
  throw invalid('application data is not encrypted (RFC 9420 §6)');
}

/** Parses an application message: a PrivateMessage that says it holds application data. */
export function parseApplication(tls: Uint8Array): ApplicationMessage {
  const { bytes, message } = decodeMessage(tls, 'application message');
  if (message.wireformat !== 'mls_private_message') {
    throw invalid('an application message is not a PrivateMessage (RFC 9420 §6)');
  }
  const { groupId, epoch, contentType, authenticatedData, encryptedSenderData, ciphertext } =
    message.privateMessage;
  if (contentType !== 'application') {
    throw invalid('a handshake message is not a PublicMessage (RFC 9420 §6)');
  }
  if (encryptedSenderData.length !== SENDER_DATA_BYTES || ciphertext.length <= AEAD_TAG_BYTES) {
    throw invalid('nobody could decrypt an application message (RFC 9420 §6.3)');
  }
  return { tls: bytes, groupId, epoch, authenticatedData };
}

/** The parts of a handshake message that ts-mls wants for processing it as a member. */
export function publicMessageOf(message: HandshakeMessage): PublicMessage {
  const decoded = decodeMessage(message.tls, 'handshake message').message;
  assert(decoded.wireformat === 'mls_public_message', 'a HandshakeMessage is a PublicMessage');
  return decoded.publicMessage;
}

/** Parses a Welcome in an MLSMessage. */
export function parseWelcome(tls: Uint8Array): Welcome {
  const { message } = decodeMessage(tls, 'Welcome');
  if (message.wireformat !== 'mls_welcome') throw invalid('not a Welcome (RFC 9420 §12.4.3.1)');
  return message.welcome;
}

/** Parses a GroupInfo in an MLSMessage. */
export function parseGroupInfo(tls: Uint8Array): GroupInfo {
  const { message } = decodeMessage(tls, 'GroupInfo');
  if (message.wireformat !== 'mls_group_info') throw invalid('not a GroupInfo (RFC 9420 §12.4.3)');
  return message.groupInfo;
}

/** Parses a KeyPackage in an MLSMessage; `validateKeyPackage` judges it. */
export function parseKeyPackage(tls: Uint8Array): KeyPackage {
  const { message } = decodeMessage(tls, 'KeyPackage');
  if (message.wireformat !== 'mls_key_package') throw invalid('not a KeyPackage (RFC 9420 §10)');
  return message.keyPackage;
}

/**
 * A Welcome in an MLSMessage with the secrets of one joiner only, so that joiners learn nothing of
 * each other from it. Refuses where there are none for this KeyPackage.
 */
export function splitWelcome(welcomeTls: Uint8Array, keyPackageRef: Uint8Array): Uint8Array {
  const [own] = splitWelcomes(welcomeTls, [keyPackageRef]);
  if (own === undefined) throw noSecrets();
  return own;
}

/** As `splitWelcome`, for many joiners in their order: the Welcome is parsed once. */
export function splitWelcomes(
  welcomeTls: Uint8Array,
  keyPackageRefs: readonly Uint8Array[],
): Uint8Array[] {
  const welcome = parseWelcome(welcomeTls);
  const byRef = Map.groupBy(welcome.secrets, ({ newMember }) => toHex(newMember));
  return keyPackageRefs.map((ref) => {
    const secrets = byRef.get(toHex(ref)) ?? [];
    if (secrets.length !== 1) throw noSecrets();
    return encodeMlsMessage({
      version: 'mls10',
      wireformat: 'mls_welcome',
      welcome: { ...welcome, secrets },
    });
  });
}

function noSecrets(): Failure {
  return new Failure('WELCOME_MISMATCH', 'the Welcome has no secrets for this KeyPackage');
}

/** Refuses an MLS object; the message names the section of RFC 9420. */
export function invalid(message: string): Failure {
  return new Failure('INVALID_MLS', message);
}

/** Decodes by a decoder of ts-mls, and refuses whatever would not be encoded to the same bytes. */
export function decodeStrict<T>(
  tls: Uint8Array,
  what: string,
  decode: (bytes: Uint8Array, offset: number) => [T, number] | undefined,
  encode: (value: T) => Uint8Array,
): T {
  const [value, canonical] = attempt(what, () => {
    const decoded = decode(tls, 0)?.[0];
    return [decoded, decoded === undefined ? undefined : encode(decoded)] as const;
  });
  if (value === undefined || canonical === undefined) throw invalid(`${what} does not decode`);
  // Trailing bytes, lengths that are not in their shortest form (§2.1.2) and presence bytes other
  // than 0 and 1 all decode, and all come out otherwise. Members sign and hash what comes out.
  if (compare(canonical, tls) !== 0) {
    throw invalid(`${what} has trailing bytes or is not canonical (RFC 9420 §2.1)`);
  }
  return value;
}

function decodeMessage(
  tls: Uint8Array,
  what: string,
): { readonly bytes: Uint8Array; readonly message: MLSMessage; readonly ends: Ends } {
  // A Buffer would hand out Buffers, whose `slice` does not copy.
  const bytes = new Uint8Array(tls.buffer, tls.byteOffset, tls.byteLength);
  const ends = walkMessage(bytes, what);
  return { bytes, message: decodeStrict(bytes, what, decodeMlsMessage, encodeMlsMessage), ends };
}

function attempt<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new Failure('INVALID_MLS', `${what} does not decode`, {}, error);
  }
}
