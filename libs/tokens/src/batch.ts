import { decodeAll, encode, type Reader, type Writer } from '@roost/core/tls';
import { MODULUS_BYTES, TOKEN_TYPE } from './token.ts';

/** RFC 9578 §6.1 for type 0x0002. */
export interface TokenRequest {
  /** The last byte of the key id: enough to choose among the few keys that are current. */
  readonly truncatedTokenKeyId: number;
  readonly blinded: Uint8Array;
}

/** Generic batches of the batched-tokens draft hold requests of any type; ours of this one. */
export const BATCH_TOKENS_MAX = 100;

export function encodeTokenRequest(request: TokenRequest): Uint8Array<ArrayBuffer> {
  return encode((writer) => writeRequest(writer, request));
}

export function decodeTokenRequest(bytes: Uint8Array): TokenRequest {
  return decodeAll(bytes, 'TokenRequest', readRequest);
}

/** `TokenRequest token_requests<V>`. */
export function encodeBatchRequest(requests: readonly TokenRequest[]): Uint8Array<ArrayBuffer> {
  return encode((writer) => writer.vector(requests, writeRequest));
}

export function decodeBatchRequest(bytes: Uint8Array): TokenRequest[] {
  return decodeAll(bytes, 'BatchTokenRequest', (reader) =>
    reader.vector(BATCH_TOKENS_MAX, readRequest),
  );
}

/** `optional<TokenResponse> token_responses<V>`: in the order of the requests, absent if refused. */
export function encodeBatchResponse(
  blindSignatures: readonly (Uint8Array | undefined)[],
): Uint8Array<ArrayBuffer> {
  return encode((writer) => writer.vector(blindSignatures, writeOptionalResponse));
}

export function decodeBatchResponse(bytes: Uint8Array): (Uint8Array<ArrayBuffer> | undefined)[] {
  return decodeAll(bytes, 'BatchTokenResponse', (reader) =>
    reader.vector(BATCH_TOKENS_MAX, (inner) => inner.optional(readResponse)),
  );
}

function writeRequest(writer: Writer, { truncatedTokenKeyId, blinded }: TokenRequest): void {
  writer.u16(TOKEN_TYPE).u8(truncatedTokenKeyId).fixed(blinded);
}

function readRequest(reader: Reader): TokenRequest {
  readType(reader);
  return { truncatedTokenKeyId: reader.u8(), blinded: reader.fixed(MODULUS_BYTES) };
}

function writeOptionalResponse(writer: Writer, blindSignature: Uint8Array | undefined): void {
  writer.optional(blindSignature, (inner, bytes) => inner.u16(TOKEN_TYPE).fixed(bytes));
}

function readResponse(reader: Reader): Uint8Array<ArrayBuffer> {
  readType(reader);
  return reader.fixed(MODULUS_BYTES);
}

function readType(reader: Reader): void {
  const type = reader.u16();
  if (type !== TOKEN_TYPE) throw reader.refuse(`token type ${type} is not issued here`);
}
