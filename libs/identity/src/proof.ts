import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import {
  ClientId,
  type Domain,
  QsClientId,
  QsUserId,
  writeClientId,
  writeScoped,
} from '@roost/core/ids';
import { MINUTE_MS } from '@roost/core/time';
import { decodeAll, encode, type Reader, type Writer } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';

/**
 * Request proofs (proto/README.md): a signature over who asks, what, of whom and when, in the
 * metadata of a call. It covers the request as it crosses the wire.
 */

/** How far a proof's time may lie from ours, in either direction. */
export const PROOF_WINDOW_MS = 2 * MINUTE_MS;

const VERSION = 1;
const LABEL = 'Request';
const NONCE_BYTES = 16;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const KEY_ID_BYTES_MAX = 512;

/** What a proof's key is found by: an id that stands for a key, or the key itself. */
export type ProofKey =
  | { readonly kind: 'client'; readonly client: ClientId }
  | { readonly kind: 'qs-user'; readonly qsUser: QsUserId }
  | { readonly kind: 'qs-client'; readonly qsClient: QsClientId }
  | { readonly kind: 'leaf'; readonly publicKey: Uint8Array }
  | { readonly kind: 'new-key'; readonly publicKey: Uint8Array };

export type ProofKind = ProofKey['kind'];

/** A parsed proof; nothing about it is verified. */
export interface Proof {
  readonly key: ProofKey;
  readonly createdMs: number;
  readonly nonce: Uint8Array;
  readonly signature: Uint8Array;
}

/** What a proof is bound to besides its own fields. */
export interface ProofBinding {
  /** The full path, `/roost.queue.v1.QueueService/Ack`. */
  readonly method: string;
  /** The domain that the request is for. */
  readonly audience: Domain;
  /** The message as it crosses the wire. */
  readonly request: Uint8Array;
}

const KINDS: readonly ProofKind[] = ['client', 'qs-user', 'qs-client', 'leaf', 'new-key'];

/** Signs a request; the nonce is drawn. */
export function makeProof(
  crypto: Crypto,
  signer: { readonly key: ProofKey; readonly privateKey: Uint8Array },
  binding: ProofBinding,
  createdMs: number,
): Uint8Array<ArrayBuffer> {
  const unsigned = { key: signer.key, createdMs, nonce: crypto.random(NONCE_BYTES) };
  const content = signedContent(crypto, unsigned, binding);
  const signature = signWithLabel(crypto, signer.privateKey, LABEL, content);
  return encode((writer) => {
    writeKey(writer.u16(VERSION), signer.key);
    writer.u64(BigInt(createdMs)).fixed(unsigned.nonce).opaque(signature);
  });
}

/** Parses the metadata `roost-proof-bin`; refuses what is not a proof. */
export function parseProof(bytes: Uint8Array): Proof {
  return decodeAll(bytes, 'request proof', (reader) => {
    reader.version(VERSION);
    const key = readKey(reader);
    const createdMs = reader.u64();
    if (createdMs > BigInt(Number.MAX_SAFE_INTEGER)) throw reader.refuse('its time is absurd');
    const nonce = reader.fixed(NONCE_BYTES);
    return { key, createdMs: Number(createdMs), nonce, signature: reader.opaque(SIGNATURE_BYTES) };
  });
}

/** Refuses a proof from outside the window, and tells our time. */
export function assertFresh(proof: Proof, nowMs: number): void {
  if (Math.abs(nowMs - proof.createdMs) > PROOF_WINDOW_MS) {
    throw new Failure('CLOCK_SKEW', 'the request was signed too long ago or ahead of time', {
      serverTimeMs: BigInt(nowMs),
    });
  }
}

/** Whether the proof was made with this key for this very request. Its time is judged apart. */
export function verifyProof(
  crypto: Crypto,
  publicKey: Uint8Array,
  proof: Proof,
  binding: ProofBinding,
): boolean {
  const content = signedContent(crypto, proof, binding);
  return verifyWithLabel(crypto, publicKey, LABEL, content, proof.signature);
}

function signedContent(
  crypto: Crypto,
  { key, createdMs, nonce }: Omit<Proof, 'signature'>,
  { method, audience, request }: ProofBinding,
): Uint8Array {
  return encode((writer) => {
    writeKey(writer.u16(VERSION), key);
    writer.text(method).text(audience).u64(BigInt(createdMs)).fixed(nonce);
    writer.fixed(crypto.sha256(request));
  });
}

function writeKey(writer: Writer, key: ProofKey): void {
  writer.u8(KINDS.indexOf(key.kind) + 1);
  writer.opaque(
    encode((inner) => {
      if (key.kind === 'client') writeClientId(inner, key.client);
      else if (key.kind === 'qs-user') writeScoped(inner, key.qsUser);
      else if (key.kind === 'qs-client') writeScoped(inner, key.qsClient);
      else {
        assert(key.publicKey.length === KEY_BYTES, 'a proof names an Ed25519 key of 32 bytes');
        inner.fixed(key.publicKey);
      }
    }),
  );
}

function readKey(reader: Reader): ProofKey {
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined) throw reader.refuse('its kind is unknown');
  const id = reader.opaque(KEY_ID_BYTES_MAX);
  const whole = <T>(read: (inner: Reader) => T): T => decodeAll(id, 'request proof key', read);
  switch (kind) {
    case 'client':
      return { kind, client: whole(ClientId.read) };
    case 'qs-user':
      return { kind, qsUser: whole(QsUserId.read) };
    case 'qs-client':
      return { kind, qsClient: whole(QsClientId.read) };
    case 'leaf':
    case 'new-key':
      return { kind, publicKey: whole((inner) => inner.fixed(KEY_BYTES)) };
  }
}
