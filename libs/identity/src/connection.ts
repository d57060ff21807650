import { Failure } from '@roost/core/failure';
import { GroupId, type UserId, writeScoped } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';

import type { Authority } from './authority.ts';
import {
  type ClientCredential,
  readClientCredential,
  verifyClientCredential,
} from './credentials.ts';
import {
  CREDENTIAL_BYTES_MAX,
  HASH_BYTES,
  KEY_BYTES,
  readTime,
  SIGNATURE_BYTES,
  type Standing,
  VERSION,
} from './structure.ts';

/** How two users who do not know each other yet come together (design §7). */

/** What a client publishes so that strangers can write to it: a key, signed by the client. */
export interface ConnectionPackage {
  readonly hpkeKey: Uint8Array;
  readonly notAfter: number;
  /** ClientCredential, encoded. */
  readonly clientCredential: Uint8Array;
}

/** Who asks to connect, and all that is needed to accept. */
export interface ConnectionRequest {
  /** The initiator's ClientCredential, encoded. */
  readonly clientCredential: Uint8Array;
  /** The initiator's NameBinding, encoded. */
  readonly nameBinding: Uint8Array;
  /** The initiator's ConnectionPackage, encoded: what the answer is sealed to. */
  readonly replyPackage: Uint8Array;
  readonly groupId: GroupId;
  readonly earKey: Uint8Array;
  readonly linkWrapperKey: Uint8Array;
  readonly participantKey: Uint8Array;
  readonly joinSecret: Uint8Array;
  readonly createdMs: number;
  /** Of all other sections (`hashSections` of direct-section.ts). */
  readonly sectionsHash: Uint8Array;
}

export interface ConnectionAnswer {
  readonly isAccepted: boolean;
  readonly groupId: GroupId;
  readonly createdMs: number;
  /** The answering client's ClientCredential, encoded. */
  readonly clientCredential: Uint8Array;
}

/** Whom a signature is for, so that nobody can pass it on: a user, and one of its packages. */
export interface SignedFor {
  readonly target: UserId;
  /** The ConnectionPackage that it is sealed to, encoded. */
  readonly connectionPackage: Uint8Array;
}

/** A structure with the signature that it came with. */
export interface Signed<T> {
  readonly value: T;
  /** The encoded fields below the signature. */
  readonly fields: Uint8Array;
  readonly signature: Uint8Array;
}

const PACKAGE_LABEL = 'ConnectionPackage';
const REQUEST_LABEL = 'ConnectionRequest';
const ANSWER_LABEL = 'ConnectionAnswer';
const PACKAGE_PAYLOAD_BYTES_MAX = CREDENTIAL_BYTES_MAX + 64;
const PACKAGE_BYTES_MAX = 16_384;
/** `{…; opaque signature<V> }` of Ed25519: two bytes of length and 64. */
const SIGNATURE_FIELD_BYTES = 2 + SIGNATURE_BYTES;

/** Signs a package as the client whose credential it holds. */
export function makeConnectionPackage(
  crypto: Crypto,
  privateKey: Uint8Array,
  { hpkeKey, notAfter, clientCredential }: ConnectionPackage,
): Uint8Array<ArrayBuffer> {
  const payload = encode((w) =>
    w.u16(VERSION).fixed(hpkeKey).u64(BigInt(notAfter)).opaque(clientCredential),
  );
  const signature = signWithLabel(crypto, privateKey, PACKAGE_LABEL, payload);
  return encode((w) => w.opaque(payload).opaque(signature));
}

/**
 * Reads a package and checks that the client whose credential it holds signed it. Whether that
 * credential is good is for `verifyConnectionPackage`, or for the AS, which issued it.
 */
export function readConnectionPackage(
  crypto: Crypto,
  bytes: Uint8Array,
): ConnectionPackage & { readonly claimed: ClientCredential } {
  const { payload, signature } = decodeAll(bytes, 'ConnectionPackage', (reader) => ({
    payload: reader.opaque(PACKAGE_PAYLOAD_BYTES_MAX),
    signature: reader.opaque(SIGNATURE_BYTES),
  }));
  const read = decodeAll(payload, 'ConnectionPackage', (reader) => {
    reader.version(VERSION);
    const hpkeKey = reader.fixed(KEY_BYTES);
    return {
      hpkeKey,
      notAfter: readTime(reader),
      clientCredential: reader.opaque(CREDENTIAL_BYTES_MAX),
    };
  });
  const claimed = readClientCredential(read.clientCredential);
  if (!verifyWithLabel(crypto, claimed.publicKey, PACKAGE_LABEL, payload, signature)) {
    throw new Failure('UNAUTHENTICATED', 'connection package: its signature does not hold');
  }
  return { ...read, claimed };
}

/** Verifies a package up to a root of its domain; it is expired as soon as either part is. */
export function verifyConnectionPackage(
  crypto: Crypto,
  bytes: Uint8Array,
  authority: Authority,
  nowMs: number,
): ConnectionPackage & { readonly credential: ClientCredential; readonly standing: Standing } {
  const { claimed: _, ...read } = readConnectionPackage(crypto, bytes);
  const { clientCredential, notAfter } = read;
  const verified = verifyClientCredential(crypto, clientCredential, authority, nowMs);
  const isExpired = verified.standing === 'valid' && nowMs > notAfter;
  return {
    ...read,
    credential: verified.credential,
    standing: isExpired ? 'expired' : verified.standing,
  };
}

/** Signs a request for one client of its target. */
export function makeConnectionRequest(
  crypto: Crypto,
  privateKey: Uint8Array,
  request: ConnectionRequest,
  to: SignedFor,
): Uint8Array<ArrayBuffer> {
  const fields = encode((w) => {
    w.u16(VERSION).opaque(request.clientCredential).opaque(request.nameBinding);
    writeScoped(w.opaque(request.replyPackage), request.groupId);
    w.fixed(request.earKey).fixed(request.linkWrapperKey).fixed(request.participantKey);
    w.fixed(request.joinSecret).u64(BigInt(request.createdMs)).fixed(request.sectionsHash);
  });
  return signed(crypto, { privateKey, label: REQUEST_LABEL }, fields, to);
}

/** Reads a request; `verifyConnectionRequest` judges its signature. */
export function readConnectionRequest(bytes: Uint8Array): Signed<ConnectionRequest> {
  const [fields, signature] = split(bytes, 'ConnectionRequest');
  const value = decodeAll(fields, 'ConnectionRequest', (reader) => {
    reader.version(VERSION);
    return {
      clientCredential: reader.opaque(CREDENTIAL_BYTES_MAX),
      nameBinding: reader.opaque(CREDENTIAL_BYTES_MAX),
      replyPackage: reader.opaque(PACKAGE_BYTES_MAX),
      groupId: GroupId.read(reader),
      earKey: reader.fixed(KEY_BYTES),
      linkWrapperKey: reader.fixed(KEY_BYTES),
      participantKey: reader.fixed(KEY_BYTES),
      joinSecret: reader.fixed(KEY_BYTES),
      createdMs: readTime(reader),
      sectionsHash: reader.fixed(HASH_BYTES),
    };
  });
  return { value, fields, signature };
}

/** Whether the client with this key made the request for this target and package. */
export function verifyConnectionRequest(
  crypto: Crypto,
  initiatorKey: Uint8Array,
  request: Signed<ConnectionRequest>,
  to: SignedFor,
): boolean {
  const content = contentFor(crypto, request.fields, to);
  return verifyWithLabel(crypto, initiatorKey, REQUEST_LABEL, content, request.signature);
}

/** Signs an answer for the client whose reply package it is sealed to. */
export function makeConnectionAnswer(
  crypto: Crypto,
  privateKey: Uint8Array,
  answer: ConnectionAnswer,
  to: SignedFor,
): Uint8Array<ArrayBuffer> {
  const fields = encode((w) => {
    writeScoped(w.u16(VERSION).u8(answer.isAccepted ? 1 : 0), answer.groupId);
    w.u64(BigInt(answer.createdMs)).opaque(answer.clientCredential);
  });
  return signed(crypto, { privateKey, label: ANSWER_LABEL }, fields, to);
}

/** Reads an answer; `verifyConnectionAnswer` judges its signature. */
export function readConnectionAnswer(bytes: Uint8Array): Signed<ConnectionAnswer> {
  const [fields, signature] = split(bytes, 'ConnectionAnswer');
  const value = decodeAll(fields, 'ConnectionAnswer', (reader) => {
    reader.version(VERSION);
    const accepted = reader.u8();
    if (accepted > 1) throw reader.refuse('it neither accepts nor rejects');
    return {
      isAccepted: accepted === 1,
      groupId: GroupId.read(reader),
      createdMs: readTime(reader),
      clientCredential: reader.opaque(CREDENTIAL_BYTES_MAX),
    };
  });
  return { value, fields, signature };
}

/** Whether the client with this key made the answer for this target and package. */
export function verifyConnectionAnswer(
  crypto: Crypto,
  answererKey: Uint8Array,
  answer: Signed<ConnectionAnswer>,
  to: SignedFor,
): boolean {
  const content = contentFor(crypto, answer.fields, to);
  return verifyWithLabel(crypto, answererKey, ANSWER_LABEL, content, answer.signature);
}

function signed(
  crypto: Crypto,
  { privateKey, label }: { readonly privateKey: Uint8Array; readonly label: string },
  fields: Uint8Array,
  to: SignedFor,
): Uint8Array<ArrayBuffer> {
  const signature = signWithLabel(crypto, privateKey, label, contentFor(crypto, fields, to));
  return encode((w) => w.fixed(fields).opaque(signature));
}

function contentFor(crypto: Crypto, fields: Uint8Array, { target, connectionPackage }: SignedFor) {
  return encode((w) => {
    writeScoped(w.opaque(fields), target);
    w.fixed(crypto.sha256(connectionPackage));
  });
}

/** Cuts the signature off the end, where it has a length of its own. */
function split(bytes: Uint8Array, what: string): [fields: Uint8Array, signature: Uint8Array] {
  const at = Math.max(0, bytes.length - SIGNATURE_FIELD_BYTES);
  const signature = decodeAll(bytes.subarray(at), what, (r) => r.opaque(SIGNATURE_BYTES));
  return [bytes.slice(0, at), signature];
}
