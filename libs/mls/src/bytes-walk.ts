import { Failure } from '@roost/core/failure';

/**
 * Walks over TLS-encoded bytes without making anything of them. Everything that could be written
 * in two ways is refused (RFC 9420 §2.1), and lists that are longer than somebody needs.
 */
export class Walk {
  readonly what: string;
  readonly #bytes: Uint8Array;
  #at: number;
  #end: number;
  #entriesLeft: number;

  constructor(
    bytes: Uint8Array,
    about: { readonly what: string; readonly entriesMax: number; readonly from?: number },
  ) {
    this.what = about.what;
    this.#bytes = bytes;
    this.#at = about.from ?? 0;
    this.#end = bytes.length;
    this.#entriesLeft = about.entriesMax;
  }

  get at(): number {
    return this.#at;
  }

  skip(size: number): void {
    if (size > this.#end - this.#at) throw this.refuse('does not decode: it ends too early');
    this.#at += size;
  }

  number(size: number): number {
    const from = this.#at;
    this.skip(size);
    let value = 0;
    for (let at = from; at < this.#at; at++) value = value * 256 + (this.#bytes[at] ?? 0);
    return value;
  }

  /** A number that is one of those that RFC 9420 gives a meaning. */
  known(size: number, numbers: readonly number[], of: string): number {
    const value = this.number(size);
    if (numbers.includes(value)) return value;
    throw this.refuse(`does not decode: ${value} cannot be its ${of}`);
  }

  /** `opaque x<V>`. */
  opaque(bytesMax = Infinity): void {
    const length = this.#length();
    if (length > bytesMax) throw this.refuse(`has a field of more than ${bytesMax} bytes`);
    this.skip(length);
  }

  optional(walk: () => void): void {
    const presence = this.number(1);
    if (presence > 1) throw this.refuse('is not canonical: a presence byte (RFC 9420 §2.1.1)');
    if (presence === 1) walk();
  }

  /** `T x<V>`: `entry` walks over one T, which takes some bytes. */
  list(countMax: number, entry: () => void): void {
    const length = this.#length();
    const outerEnd = this.#end;
    if (length > outerEnd - this.#at) throw this.refuse('does not decode: it ends too early');
    this.#end = this.#at + length;
    for (let count = 1; this.#at < this.#end; count++) {
      if (count > countMax || this.#entriesLeft-- === 0) {
        throw this.refuse('has a list of too many entries');
      }
      entry();
    }
    this.#end = outerEnd;
  }

  end(): void {
    if (this.#at < this.#end) throw this.refuse('has bytes behind it (RFC 9420 §2.1)');
  }

  /** A length in its shortest form (RFC 9420 §2.1.2). */
  #length(): number {
    const first = this.number(1);
    const size = 1 << (first >> 6);
    if (size === 8) throw this.refuse('is not canonical: a length (RFC 9420 §2.1.2)');
    let length = first & 0x3f;
    for (let left = size - 1; left > 0; left--) length = length * 256 + this.number(1);
    if ((size === 2 && length < 0x40) || (size === 4 && length < 0x4000)) {
      throw this.refuse('is not canonical: a length (RFC 9420 §2.1.2)');
    }
    return length;
  }

  /** A refusal that names what is walked over. */
  refuse(why: string): Failure {
    return new Failure('INVALID_MLS', `${this.what} ${why}`);
  }
}
