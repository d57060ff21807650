import { compare, fromHex, toHex } from './bytes.ts';

/**
 * Published test vectors. A file of them is an array of entries of one kind; kinds are told apart by
 * the fields of their entries, because files go by many names.
 */
export interface VectorKind {
  readonly name: string;
  /** Every entry of this kind has these fields. */
  readonly fields: readonly string[];
  /** What of an entry is left out; `undefined` where it is run whole. */
  readonly skips: (entry: object) => Left | undefined;
  /** Throws where something comes out otherwise than published. */
  readonly check: (entry: object) => void | Promise<void>;
}

/** What is not run. */
export interface Left {
  readonly whole: boolean;
  readonly why: string;
}

/** A kind whose entries are read as `Vector`: a field that is none makes its entry fail. */
export function vectorKind<Vector extends object>(
  name: string,
  fields: readonly (keyof Vector & string)[],
  check: (vector: Vector) => void | Promise<void>,
  skips: (vector: Vector) => Left | undefined = () => undefined,
): VectorKind {
  return {
    name,
    fields,
    skips: (entry) => skips(entry as Vector),
    check: (entry) => check(entry as Vector),
  };
}

/** The kind of an entry; `undefined` where none is known. */
export function kindOf(kinds: readonly VectorKind[], entry: unknown): VectorKind | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  return kinds.find(({ fields }) => fields.every((field) => field in entry));
}

/** The bytes of a field. */
export function vectorBytes(hex: string): Uint8Array<ArrayBuffer> {
  const bytes = typeof hex === 'string' ? fromHex(hex) : undefined;
  if (bytes === undefined) throw new Error('a field of the vector is not hex');
  return bytes;
}

/** Holds what came out to the field of the vector. */
export function same(what: string, actual: Uint8Array, expected: string): void {
  if (compare(actual, vectorBytes(expected)) === 0) return;
  throw new Error(
    `${what} is ${toHex(actual).slice(0, 64)}, published is ${expected.slice(0, 64)}`,
  );
}

/** Holds something else than bytes to the vector: numbers, lists of numbers, texts. */
export function sameValue(what: string, actual: unknown, expected: unknown): void {
  const [is, should] = [textOf(actual), textOf(expected)];
  if (is === should) return;
  throw new Error(`${what} is ${is.slice(0, 64)}, published is ${should.slice(0, 64)}`);
}

function textOf(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

/** Holds a claim that a vector makes. */
export function holds(what: string, claim: boolean): void {
  if (!claim) throw new Error(`${what} does not hold`);
}
