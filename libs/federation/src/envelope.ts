import { comparePairs, firstPair, type Pair, readPair, writePair } from '@roost/bus/frames';
import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import {
  type Domain,
  DOMAIN_BYTES_MAX,
  type GroupId,
  parseDomain,
  writeScoped,
} from '@roost/core/ids';
import { MINUTE_MS } from '@roost/core/time';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';
import { HASH_BYTES, readTime, SIGNATURE_BYTES } from '@roost/identity/structure';

import { KEY_ID_BYTES, keyIdOf, keyStanding, type TrustedKey } from './keys.ts';

/**
 * The envelope of all that goes between homeservers (proto/README, "Federation"): who says what to whom
 * and when, signed. It is made of fields alone: nothing that a peer made is ever signed as it came.
 */
export interface Envelope {
  readonly source: Domain;
  readonly destination: Domain;
  /** The path of what is called in the end. */
  readonly method: string;
  readonly keyId: Uint8Array;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly messageId: Uint8Array;
  /** `groupTagOf` the group that is concerned; empty where none is. */
  readonly groupTag: Uint8Array;
  /** Of the last event that is delivered; the first pair for calls. */
  readonly number: Pair;
  readonly payloadHash: Uint8Array;
}

/** An envelope as it came, decoded and not believed. */
export interface SealedEnvelope {
  readonly envelope: Envelope;
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
}

/** What can be wrong with an envelope: refusals are counted by it. */
export const ENVELOPE_FLAWS = [
  ...(['form', 'destination', 'source', 'method', 'times', 'payload', 'key-unknown'] as const),
  ...(['key-early', 'key-expired', 'key-revoked', 'signature', 'group', 'number'] as const),
  'certificate',
] as const;
export type EnvelopeFlaw = (typeof ENVELOPE_FLAWS)[number];

/** The refusal of an envelope. */
export class BadEnvelope extends Failure {
  readonly flaw: EnvelopeFlaw;

  constructor(flaw: EnvelopeFlaw, message: string) {
    super('BAD_ENVELOPE', `envelope: ${message}`);
    this.flaw = flaw;
  }
}

export const ENVELOPE_BYTES_MAX = 2_048;
/** How long an envelope is good for, and how far ahead of ours its clock may be. */
export const ENVELOPE_MS = MINUTE_MS;
export const MESSAGE_ID_BYTES = 16;
/** What PostgreSQL can count: a larger number would stop whoever wanted to keep it. */
export const NUMBER_MAX = 2n ** 63n - 1n;

const VERSION = 1;
const LABEL = 'FederationEnvelope';
const GROUP_LABEL = 'Roost 1.0 FederationGroup';
const METHOD = /^\/[a-z0-9_.]{1,128}\.[A-Za-z0-9]{1,64}\/[A-Za-z0-9]{1,64}$/;
const METHOD_BYTES_MAX = 260;

export interface EnvelopeOrder {
  readonly source: Domain;
  readonly destination: Domain;
  readonly method: string;
  readonly createdMs: number;
  /** Drawn anew for what is new; the same for what is sent again. */
  readonly messageId: Uint8Array;
  readonly groupTag?: Uint8Array | undefined;
  readonly number?: Pair | undefined;
}

/** Signs an envelope for a payload. */
export function signEnvelope(
  crypto: Crypto,
  key: { readonly publicKey: Uint8Array; readonly privateKey: Uint8Array },
  order: EnvelopeOrder,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const content = encodeContent({
    ...order,
    groupTag: order.groupTag ?? NOTHING,
    number: order.number ?? firstPair,
    keyId: keyIdOf(crypto, key.publicKey),
    expiresMs: order.createdMs + ENVELOPE_MS,
    payloadHash: crypto.sha256(payload),
  });
  const signature = signWithLabel(crypto, key.privateKey, LABEL, content);
  return encode((writer) => writer.opaque(content).opaque(signature));
}

/** Decodes an envelope; nothing about it is believed yet. */
export function readEnvelope(bytes: Uint8Array): SealedEnvelope {
  if (bytes.length > ENVELOPE_BYTES_MAX) {
    throw new BadEnvelope('form', `it is longer than ${ENVELOPE_BYTES_MAX} bytes`);
  }
  try {
    const { content, signature } = decodeAll(bytes, 'FederationEnvelope', (reader) => ({
      content: reader.opaque(ENVELOPE_BYTES_MAX),
      signature: reader.opaque(SIGNATURE_BYTES),
    }));
    return { envelope: decodeContent(content), content, signature };
  } catch (error) {
    if (!(error instanceof Failure) || error instanceof BadEnvelope) throw error;
    throw new BadEnvelope('form', error.message);
  }
}

/** Refuses what is for another homeserver, pretends to be ours, or is not of now. */
export function assertAddressed(
  { source, destination, createdMs, expiresMs }: Envelope,
  home: Domain,
  nowMs: number,
): void {
  if (destination !== home) throw new BadEnvelope('destination', 'it is for another homeserver');
  if (source === home) throw new BadEnvelope('source', 'it says that it is from here');
  if (expiresMs <= createdMs || expiresMs > createdMs + ENVELOPE_MS) {
    throw new BadEnvelope('times', `it is good for no time, or for more than ${ENVELOPE_MS} ms`);
  }
  if (createdMs <= nowMs + ENVELOPE_MS && nowMs <= expiresMs) return;
  throw new Failure('CLOCK_SKEW', 'the envelope was made too long ago or ahead of time', {
    serverTimeMs: BigInt(nowMs),
  });
}

/** Refuses what none of the source's keys signed for this payload. */
export function assertSigned(
  crypto: Crypto,
  sealed: SealedEnvelope,
  payload: Uint8Array,
  keys: readonly TrustedKey[],
): void {
  const { envelope } = sealed;
  if (!equal(crypto.sha256(payload), envelope.payloadHash)) {
    throw new BadEnvelope('payload', 'what it goes with is not what was signed');
  }
  const key = keys.find(({ keyId }) => equal(keyId, envelope.keyId));
  if (key === undefined) throw new BadEnvelope('key-unknown', 'its key is not known here');
  const standing = keyStanding(key, envelope.createdMs);
  if (standing !== 'valid') throw new BadEnvelope(`key-${standing}`, `its key is ${standing}`);
  if (!isSignedBy(crypto, sealed, key)) {
    throw new BadEnvelope('signature', 'its signature does not hold');
  }
}

/** Whether a key signed an envelope; whether it might is another question. */
export function isSignedBy(
  crypto: Crypto,
  { content, signature }: SealedEnvelope,
  { publicKey }: { readonly publicKey: Uint8Array },
): boolean {
  return verifyWithLabel(crypto, publicKey, LABEL, content, signature);
}

/** Refuses what concerns another group than it says, or one where it says none. */
export function assertGroup(
  crypto: Crypto,
  { source, destination, groupTag }: Envelope,
  groupId: GroupId | undefined,
): void {
  const tag =
    groupId === undefined ? NOTHING : groupTagOf(crypto, { source, destination, groupId });
  if (!equal(groupTag, tag)) throw new BadEnvelope('group', 'it is of another group');
}

/** Refuses what ends with another event than it says. */
export function assertNumber({ number }: Envelope, last: Pair): void {
  if (comparePairs(number, last) !== 0) throw new BadEnvelope('number', 'its number is another');
}

/** Refuses an envelope of another homeserver than the one whose certificate was shown. */
export function assertCertified({ source }: Envelope, isFor: (domain: Domain) => boolean): void {
  if (!isFor(source)) throw new BadEnvelope('certificate', 'its source showed none of its own');
}

/** What stands for a group in envelopes: not its id, but computable by whoever knows that. */
export function groupTagOf(
  crypto: Crypto,
  between: { readonly source: Domain; readonly destination: Domain; readonly groupId: GroupId },
): Uint8Array<ArrayBuffer> {
  const { source, destination, groupId } = between;
  return crypto.sha256(
    encode((writer) => {
      writer.text(GROUP_LABEL).text(source).text(destination);
      writeScoped(writer, groupId);
    }),
  );
}

const NOTHING = new Uint8Array(0);

function encodeContent(envelope: Envelope): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writer.u16(VERSION).text(envelope.source).text(envelope.destination).text(envelope.method);
    writer.fixed(envelope.keyId);
    writer.u64(BigInt(envelope.createdMs)).u64(BigInt(envelope.expiresMs));
    writer.fixed(envelope.messageId).opaque(envelope.groupTag);
    writePair(writer, envelope.number);
    writer.fixed(envelope.payloadHash);
  });
}

function decodeContent(content: Uint8Array): Envelope {
  return decodeAll(content, 'EnvelopeContent', (reader) => {
    reader.version(VERSION);
    const source = parseDomain(reader.text(DOMAIN_BYTES_MAX), 'source');
    const destination = parseDomain(reader.text(DOMAIN_BYTES_MAX), 'destination');
    const method = reader.text(METHOD_BYTES_MAX);
    if (!METHOD.test(method)) throw new BadEnvelope('method', 'its method is no path');
    const keyId = reader.fixed(KEY_ID_BYTES);
    const [createdMs, expiresMs] = [readTime(reader), readTime(reader)];
    const messageId = reader.fixed(MESSAGE_ID_BYTES);
    const groupTag = reader.opaque(HASH_BYTES);
    if (groupTag.length !== 0 && groupTag.length !== HASH_BYTES) {
      throw reader.refuse('a group tag has 32 bytes');
    }
    const number = readPair(reader);
    if (number.n > NUMBER_MAX) throw reader.refuse('a number is absurd');
    const payloadHash = reader.fixed(HASH_BYTES);
    const parties = { source, destination, method, keyId, createdMs, expiresMs };
    return { ...parties, messageId, groupTag, number, payloadHash };
  });
}
