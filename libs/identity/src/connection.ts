import { Failure } from '@roost/core/failure';
import { type ClientId, GroupId, type UserId, writeClientId, writeScoped } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openWith, sealTo } from '@roost/crypto/hpke';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';
import { padTo, unpad } from '@roost/crypto/sealed';

import {
  CREDENTIAL_BYTES_MAX,
  HASH_BYTES,
  hpkeInfo,
  KEY_BYTES,
  readTime,
  SIGNATURE_BYTES,
  VERSION,
} from './structure.ts';

/** The sections of a direct message between two users who do not know each other yet (design §7). */

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
  /** Of all other sections (`hashSections`). */
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

export interface SectionContent {
  /** The number of roost.authentication.v1.SectionType. */
  readonly type: number;
  readonly plaintext: Uint8Array;
}

const REQUEST_LABEL = 'ConnectionRequest';
const ANSWER_LABEL = 'ConnectionAnswer';
const SECTION_LABEL = 'DirectSection';
const SECTION_PADDING = 256;
const PACKAGE_BYTES_MAX = 16_384;
/** `{…; opaque signature<V> }` of Ed25519: two bytes of length and 64. */
const SIGNATURE_FIELD_BYTES = 2 + SIGNATURE_BYTES;

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

/** What ties the other sections of a request to its identity section; in their order. */
export function hashSections(
  crypto: Crypto,
  sections: readonly SectionContent[],
): Uint8Array<ArrayBuffer> {
  const list = encode((w) => {
    for (const { type, plaintext } of sections) w.u8(type).fixed(crypto.sha256(plaintext));
  });
  return crypto.sha256(list);
}

/** Seals one section to the connection package of one client. */
export function sealSection(
  crypto: Crypto,
  hpkeKey: Uint8Array,
  target: ClientId,
  { type, plaintext }: SectionContent,
): Uint8Array<ArrayBuffer> {
  const padded = padTo(plaintext, SECTION_PADDING);
  return sealTo(crypto, hpkeKey, sectionBinding(type, target), padded);
}

/** Opens a section. Throws where it is of another type, for another client or to another key. */
export function openSection(
  crypto: Crypto,
  hpkePrivateKey: Uint8Array,
  target: ClientId,
  { type, sealed }: { readonly type: number; readonly sealed: Uint8Array },
): Uint8Array<ArrayBuffer> {
  const padded = openWith(crypto, hpkePrivateKey, sectionBinding(type, target), sealed);
  if (padded === undefined) throw new Failure('UNAUTHENTICATED', 'section: it does not open');
  return unpad(padded);
}

function sectionBinding(type: number, target: ClientId) {
  const aad = encode((w) => writeClientId(w.u8(type), target));
  return { info: hpkeInfo(SECTION_LABEL), aad };
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
