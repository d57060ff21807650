import { assert } from '@roost/core/assert';
import type { Executor } from './executor.ts';

export type Statement<Params extends readonly unknown[], Row extends object> = (
  on: Executor,
  ...params: Params
) => Promise<Row[]>;

/**
 * A statement that is planned once per connection. Its name is unique: `<service>_<verb>_<noun>`. Parameters
 * are scalars, or arrays of numbers and ids for `unnest($1::bigint[])`; arrays of long bytes are
 * slow (hex), `rowsStatement` is the way for those.
 */
export function statement<Params extends readonly unknown[], Row extends object>(
  name: string,
  sql: string,
): Statement<Params, Row> {
  register(name, sql);
  return async (on, ...params) => await on.query<Row>({ name, text: sql, values: params });
}

export interface RowsShape {
  /** The SQL type of each column of the rows. */
  readonly types: readonly string[];
  /** How many parameters come before the rows: `$1` to `$fixed`. */
  readonly fixed?: number;
  /** Rows in one statement; a power of two. */
  readonly rowsMax?: number;
}

/**
 * A statement over many rows: `sql` is given `VALUES ($1::bytea, $2::bigint), ($3, $4), …` to place. The
 * rows are cut into powers of two, so that a connection holds few prepared statements, which are
 * sent together; inside a transaction they are one.
 */
export function rowsStatement<
  Row extends readonly unknown[],
  Result extends object,
  Fixed extends readonly unknown[] = [],
>(
  name: string,
  { types, fixed = 0, rowsMax = ROWS_MAX }: RowsShape,
  sql: (values: string) => string,
): (on: Executor, rows: readonly Row[], ...params: Fixed) => Promise<Result[]> {
  assert(Number.isInteger(Math.log2(rowsMax)), 'the most rows of a statement are a power of two');
  assert(
    fixed + types.length * rowsMax <= PARAMETERS_MAX,
    'a statement has at most 65,535 parameters',
  );
  const texts = new Map<number, string>();
  for (let size = 1; size <= rowsMax; size *= 2) {
    const text = sql(valuesList(types, size, fixed));
    texts.set(size, text);
    register(`${name}_${size}`, text);
  }

  return async (on, rows, ...params) => {
    assert(params.length === fixed, 'as many fixed parameters are given as were told');
    const chunks = inPowersOfTwo(rows, rowsMax);
    const results = await Promise.all(
      chunks.map(async (chunk) => {
        const text = texts.get(chunk.length);
        assert(text !== undefined, 'a chunk is a power of two');
        const values = [...params, ...chunk.flat()];
        return await on.query<Result>({ name: `${name}_${chunk.length}`, text, values });
      }),
    );
    return results.flat();
  };
}

/** Every statement of the modules that were imported, by name: what a test can PREPARE. */
export function allStatements(): ReadonlyMap<string, string> {
  return registry;
}

/** A statement of 64 rows costs little more per row than one of 1,024. */
const ROWS_MAX = 128;
const PARAMETERS_MAX = 65_535;

const registry = new Map<string, string>();

function register(name: string, sql: string): void {
  assert(name.length <= 63, 'a statement name is at most 63 characters');
  assert(!registry.has(name), `one statement is called ${name}`);
  registry.set(name, sql);
}

function inPowersOfTwo<T>(rows: readonly T[], rowsMax: number): (readonly T[])[] {
  const chunks: (readonly T[])[] = [];
  for (let at = 0; at < rows.length;) {
    const size = Math.min(rowsMax, 2 ** Math.floor(Math.log2(rows.length - at)));
    chunks.push(rows.slice(at, at + size));
    at += size;
  }
  return chunks;
}

/** The types stand in the first row; PostgreSQL gives them to the others. */
function valuesList(types: readonly string[], rows: number, fixed: number): string {
  const lines = Array.from({ length: rows }, (_, row) => {
    const first = fixed + row * types.length + 1;
    const cells = types.map((type, at) => `$${first + at}${row === 0 ? `::${type}` : ''}`);
    return `(${cells.join(', ')})`;
  });
  return `VALUES ${lines.join(', ')}`;
}
