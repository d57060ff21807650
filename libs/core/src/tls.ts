import { Failure } from './failure.ts';

/**
 * The TLS presentation language (RFC 8446 §3, variable-length vectors as RFC 9420 §2.1.2 has them).
 * Everything that we sign, seal, hash or store encrypted is written with it, a version first.
 */
export class Writer {
  #bytes = new Uint8Array(256);
  #length = 0;
  #text = '';
  #textBytes = new Uint8Array(0);

  u8(value: number): this {
    return this.#number(value, 1);
  }

  u16(value: number): this {
    return this.#number(value, 2);
  }

  u32(value: number): this {
    return this.#number(value, 4);
  }

  u64(value: bigint): this {
    if (value < 0n || value >= 1n << 64n) {
      throw new RangeError(`${value} does not fit into 8 bytes`);
    }
    return this.u32(Number(value >> 32n)).u32(Number(value & 0xffff_ffffn));
  }

  /** A fixed-size field: the bytes alone. */
  fixed(bytes: Uint8Array): this {
    this.#room(bytes.length).set(bytes, this.#length - bytes.length);
    return this;
  }

  /** `opaque x<V>`: a variable-size length, then the bytes. */
  opaque(bytes: Uint8Array): this {
    return this.vectorLength(bytes.length).fixed(bytes);
  }

  /** `opaque x<V>` of UTF-8. */
  text(text: string): this {
    // Lists have the same text in each entry, such as a domain; to encode it costs more than the rest.
    if (text !== this.#text) {
      this.#text = text;
      this.#textBytes = TEXT.encode(text);
    }
    return this.opaque(this.#textBytes);
  }

  /** `optional<T>`: a presence byte, then the value. */
  optional<T>(value: T | undefined, write: (writer: Writer, value: T) => void): this {
    this.u8(value === undefined ? 0 : 1);
    if (value !== undefined) write(this, value);
    return this;
  }

  /** `T x<V>`: the length in bytes, then the values. */
  vector<T>(values: readonly T[], write: (writer: Writer, value: T) => void): this {
    const start = this.#length;
    for (const value of values) write(this, value);
    const [end, length] = [this.#length, this.#length - start];
    // In place: what a group of 1,000 stores is written in one piece, and moved once.
    this.vectorLength(length);
    const head = this.#bytes.slice(end, this.#length);
    this.#bytes.copyWithin(start + head.length, start, end);
    this.#bytes.set(head, start);
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** Up to 32 bits, as most are: without a BigInt for each. */
  #number(value: number, size: 1 | 2 | 4): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (size * 8)) {
      throw new RangeError(`${value} does not fit into ${size} bytes`);
    }
    const bytes = this.#room(size);
    let rest = value;
    for (let at = this.#length - 1; at >= this.#length - size; at--) {
      bytes[at] = rest & 0xff;
      rest >>>= 8;
    }
    return this;
  }

  /** The length in bytes of a vector, which its writer writes behind it. */
  vectorLength(length: number): this {
    if (length < 0x40) return this.u8(length);
    if (length < 0x4000) return this.u16(length | 0x4000);
    if (length < 0x4000_0000) return this.u32(length + 0x8000_0000);
    throw new RangeError(`a vector of ${length} bytes is too long`);
  }

  #room(size: number): Uint8Array {
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}

const TEXT = new TextEncoder();

/** Reads what `Writer` wrote. Whatever is wrong with the input is a `MALFORMED` failure. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  /** `what` names the structure in the failure. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#number(1);
  }

  u16(): number {
    return this.#number(2);
  }

  u32(): number {
    return this.#number(4);
  }

  u64(): bigint {
    const { buffer, byteOffset } = this.#view(8);
    return new DataView(buffer, byteOffset).getBigUint64(0);
  }

  /** The next `size` bytes, as a copy. */
  fixed(size: number): Uint8Array<ArrayBuffer> {
    return this.#view(size).slice();
  }

  /** `opaque x<V>` of at most `bytesMax`. */
  opaque(bytesMax: number): Uint8Array<ArrayBuffer> {
    return this.fixed(this.#vectorLength(bytesMax));
  }

  text(bytesMax: number): string {
    try {
      const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
      return decoder.decode(this.#view(this.#vectorLength(bytesMax)));
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw this.refuse('text is not UTF-8');
    }
  }

  optional<T>(read: (reader: Reader) => T): T | undefined {
    const present = this.u8();
    if (present > 1) throw this.refuse('a presence byte is neither 0 nor 1');
    return present === 1 ? read(this) : undefined;
  }

  /** `T x<V>` of at most `countMax` values. */
  vector<T>(countMax: number, read: (reader: Reader) => T): T[] {
    const inner = new Reader(this.#view(this.#vectorLength(this.remaining)), this.#what);
    const values: T[] = [];
    while (inner.remaining > 0) {
      if (values.length === countMax) throw this.refuse(`a list has more than ${countMax} entries`);
      values.push(read(inner));
    }
    return values;
  }

  /** Refuses another version than the ones we know. */
  version(...known: readonly number[]): number {
    const version = this.u16();
    if (!known.includes(version)) throw this.refuse(`version ${version} is unknown`);
    return version;
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (this.remaining > 0) throw this.refuse(`${this.remaining} bytes too many`);
  }

  refuse(message: string): Failure {
    return new Failure('MALFORMED', `${this.#what}: ${message}`);
  }

  #view(size: number): Uint8Array {
    if (size > this.remaining) throw this.refuse('it ends too early');
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  #number(size: 1 | 2 | 4): number {
    let value = 0;
    for (const byte of this.#view(size)) value = value * 256 + byte;
    return value;
  }

  #vectorLength(bytesMax: number): number {
    const first = this.u8();
    const size = 1 << (first >> 6);
    if (size === 8) throw this.refuse('a length has the reserved prefix');
    let length = first & 0x3f;
    for (const byte of this.#view(size - 1)) length = length * 256 + byte;
    if (size > 1 && length < (size === 2 ? 0x40 : 0x4000)) {
      throw this.refuse('a length is not written in its shortest form');
    }
    if (length > bytesMax) throw this.refuse(`a field is longer than ${bytesMax} bytes`);
    return length;
  }
}

/** Reads a whole structure: whatever stands behind it is refused. */
export function decodeAll<T>(bytes: Uint8Array, what: string, read: (reader: Reader) => T): T {
  const reader = new Reader(bytes, what);
  const value = read(reader);
  reader.end();
  return value;
}

export function encode(write: (writer: Writer) => void): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  write(writer);
  return writer.finish();
}
