// Envelopes and payloads by their description in proto/README.md, not by the code that is tried: every field
// can be wrong by itself.
import { encode } from '@roost/core/tls';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { signWithLabel } from '@roost/crypto/labelled';

/** A number as it is written: more than any homeserver counts, where that is tried. */
export interface Written {
  readonly incarnation: number;
  readonly n: bigint;
}

/** What an envelope says. */
export interface Words {
  readonly source: string;
  readonly destination: string;
  readonly method: string;
  readonly keyId: Uint8Array;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly messageId: Uint8Array;
  readonly groupTag: Uint8Array;
  readonly number: Written;
  readonly payloadHash: Uint8Array;
}

export function sealEnvelope(words: Words, privateKey: Uint8Array): Uint8Array {
  const content = encode((writer) => {
    writer.u16(1).text(words.source).text(words.destination).text(words.method);
    writer.fixed(words.keyId).u64(BigInt(words.createdMs)).u64(BigInt(words.expiresMs));
    writer.fixed(words.messageId).opaque(words.groupTag);
    writer.u32(words.number.incarnation).u64(words.number.n).fixed(words.payloadHash);
  });
  const signature = signWithLabel(crypto, privateKey, 'FederationEnvelope', content);
  return encode((writer) => writer.opaque(content).opaque(signature));
}

export interface Group {
  readonly uuid: Uint8Array;
  /** As it is written. */
  readonly domain: string;
}

export function tagOf(source: string, destination: string, { uuid, domain }: Group): Uint8Array {
  return crypto.sha256(
    encode((writer) => {
      writer.text('Roost 1.0 FederationGroup').text(source).text(destination);
      writer.fixed(uuid).text(domain);
    }),
  );
}

export function callPayload(request: Uint8Array, proof = new Uint8Array(0)): Uint8Array {
  return encode((writer) => writer.u16(1).opaque(request).opaque(proof));
}

export interface WrittenEvent {
  readonly number: Written;
  readonly prev: Written;
  readonly fanOut: Uint8Array;
}

/** The payload of a delivery. */
export function eventsPayload(
  { uuid, domain }: Group,
  events: readonly WrittenEvent[],
): Uint8Array {
  return encode((writer) => {
    writer.u16(1).fixed(uuid).text(domain);
    writer.vector(events, (each, { number, prev, fanOut }) => {
      each.u8(1).u32(number.incarnation).u64(number.n).u32(prev.incarnation).u64(prev.n);
      each.opaque(fanOut);
    });
  });
}

/** The same bytes but for one bit. */
export function turned(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
}
