import { concat, fromUtf8, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';

import type { CallStatus } from './status.ts';

/** gRPC's message framing, and what gRPC-web makes of trailers. */

const HEADER_BYTES = 5;
const COMPRESSED = 0x01;
const TRAILERS = 0x80;

/** One message: a flag, four bytes of length, the message. */
export function frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  return flagged(0, message);
}

/** The last frame of a gRPC-web answer. */
export function trailerFrame(trailers: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const lines = Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`);
  return flagged(TRAILERS, utf8(lines.join('')));
}

export type Frame =
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'trailers'; readonly trailers: ReadonlyMap<string, string> };

/** Cuts a byte stream into frames, each at most `bytesMax` long. */
export class Deframer {
  readonly #bytesMax: number;
  #pending: Uint8Array[] = [];
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes that do not make a whole frame yet. */
  get pending(): number {
    return this.#length;
  }

  push(chunk: Uint8Array): Frame[] {
    this.#pending.push(chunk);
    this.#length += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      const next = this.#next();
      if (next === undefined) return frames;
      frames.push(next);
    }
  }

  #next(): Frame | undefined {
    if (this.#length < HEADER_BYTES) return undefined;
    const header = this.#peek(HEADER_BYTES);
    const flag = header[0] ?? 0;
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    // Judged by the header alone: what is too long is not collected first.
    if (length > this.#bytesMax) {
      throw new Failure('TOO_LARGE', `the message is longer than ${this.#bytesMax} bytes`);
    }
    if ((flag & COMPRESSED) !== 0) {
      throw new Failure('METHOD_UNKNOWN', 'compressed messages are not supported');
    }
    if (this.#length < HEADER_BYTES + length) return undefined;

    const whole = this.#peek(HEADER_BYTES + length);
    this.#pending[0] = whole.subarray(HEADER_BYTES + length);
    this.#length -= HEADER_BYTES + length;
    const bytes = whole.subarray(HEADER_BYTES, HEADER_BYTES + length);
    if ((flag & TRAILERS) === 0) return { kind: 'message', bytes };
    return { kind: 'trailers', trailers: parseTrailers(bytes) };
  }

  /** Joins chunks until the first holds `size` bytes; a message in many chunks is joined once. */
  #peek(size: number): Uint8Array {
    const first = this.#pending[0];
    if (first !== undefined && first.length >= size) return first;
    const joined = concat(...this.#pending);
    this.#pending = [joined];
    return joined;
  }
}

/** The trailers of a call. */
export function trailersOf(status: CallStatus): Record<string, string> {
  return {
    'grpc-status': String(status.code),
    ...(status.message === '' ? {} : { 'grpc-message': percentEncoded(status.message) }),
    ...(status.details === undefined
      ? {}
      : { 'grpc-status-details-bin': toBase64(status.details) }),
  };
}

/** The status in trailers, or in the headers of an answer without a body; `undefined` if in neither. */
export function statusIn(
  read: (name: string) => string | null | undefined,
): CallStatus | undefined {
  const code = read('grpc-status');
  if (code === null || code === undefined || !/^[0-9]{1,3}$/.test(code)) return undefined;
  const details = fromBase64(read('grpc-status-details-bin') ?? '');
  return {
    code: Number(code),
    message: percentDecoded(read('grpc-message') ?? ''),
    ...(details === undefined || details.length === 0 ? {} : { details }),
  };
}

/** Binary metadata: base64, of which padding may be missing (the gRPC HTTP/2 protocol). */
export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** `undefined` where it is not base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function flagged(flag: number, message: Uint8Array): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(HEADER_BYTES + message.length);
  framed[0] = flag;
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, HEADER_BYTES);
  return framed;
}

function parseTrailers(bytes: Uint8Array): ReadonlyMap<string, string> {
  const trailers = new Map<string, string>();
  for (const line of fromUtf8(bytes).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) trailers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return trailers;
}

/** Everything but printable ASCII, and the percent sign itself (the gRPC HTTP/2 protocol). */
function percentEncoded(text: string): string {
  return text.replace(/[^ -$&-~]+/gu, (other) =>
    Array.from(utf8(other), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(
      '',
    ),
  );
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
