import pg from 'pg';

/** int8 is bigint, bytea is Uint8Array, also in arrays; all else is as `pg` has it. */
export const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    OURS.get(oid) ?? pg.types.getTypeParser(oid, format),
};

const { BYTEA, INT8 } = pg.types.builtins;
const BYTEA_ARRAY = 1001;
const INT8_ARRAY = 1016;

const OURS = new Map<number, (text: string) => unknown>([
  [INT8, BigInt],
  [BYTEA, bytes],
  [INT8_ARRAY, (text) => elements(text).map((element) => nullOr(element, BigInt))],
  [
    BYTEA_ARRAY,
    (text) => elements(text).map((element) => nullOr(element, (quoted) => bytes(unquoted(quoted)))),
  ],
]);

/** From `\x` and hex: `pg` reads results as text only. */
function bytes(text: string): Uint8Array {
  const buffer = Buffer.from(text.slice(2), 'hex');
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** The elements of a one-dimensional array of numbers or bytes: neither has a comma or a brace. */
function elements(text: string): string[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',');
}

/** `"\\xff"` to `\xff`. */
function unquoted(element: string): string {
  return element.slice(2, -1);
}

function nullOr<T>(element: string, parse: (element: string) => T): T | null {
  return element === 'NULL' ? null : parse(element);
}
