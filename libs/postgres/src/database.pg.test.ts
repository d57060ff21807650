import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';
import { wrongStatements } from '@roost/testing/statements';
import { Database } from './database.ts';
import { uniqueViolation } from './errors.ts';
import { rowsStatement, statement } from './statement.ts';

let database: FreshDatabase;

beforeAll(async () => {
  database = await freshDatabase();
  await database.query({
    text: 'CREATE TABLE items (id bytea PRIMARY KEY, number bigint NOT NULL CHECK (number >= 0))',
  });
});
afterAll(async () => await database[Symbol.asyncDispose]());

const insertItem = statement<[id: Uint8Array, number: bigint], never>(
  'test_insert_item',
  'INSERT INTO items (id, number) VALUES ($1, $2)',
);
const findItem = statement<[id: Uint8Array], { number: bigint }>(
  'test_find_item',
  'SELECT number FROM items WHERE id = $1',
);
const setItem = statement<[id: Uint8Array, number: bigint], never>(
  'test_set_item',
  'UPDATE items SET number = $2 WHERE id = $1',
);
const insertItems = rowsStatement<[id: Uint8Array, number: bigint], { number: bigint }, [bigint]>(
  'test_insert_items',
  { types: ['bytea', 'bigint'], fixed: 1, rowsMax: 4 },
  (values) =>
    `INSERT INTO items (id, number) SELECT id, number + $1 FROM (${values}) AS v (id, number)
     RETURNING number`,
);
const named = (name: string): Uint8Array => new TextEncoder().encode(name);

test('64-bit integers and bytes come back as they went in, alone and in arrays', async () => {
  const [row] = await database.query({
    text: 'SELECT $1::bigint AS n, $2::bytea AS b, $3::bytea[] AS bs, $4::bigint[] AS ns',
    values: [
      2n ** 62n,
      Uint8Array.of(0, 255),
      [Uint8Array.of(7), new Uint8Array(), null],
      [1n, -2n],
    ],
  });
  expect(row).toEqual({
    n: 2n ** 62n,
    b: Uint8Array.of(0, 255),
    bs: [Uint8Array.of(7), new Uint8Array(), null],
    ns: [1n, -2n],
  });
});

test('what is done in a transaction that throws is undone, and the connection is good for the next', async () => {
  const id = named('undone');
  const failing = database.transaction(async (tx) => {
    await insertItem(tx, id, 1n);
    throw new RangeError('changed my mind');
  });
  await expect(failing).rejects.toThrow(RangeError);
  expect(await findItem(database, id)).toEqual([]);
});

test('a transaction that hides a failed statement is not committed', async () => {
  const id = named('hidden');
  const hiding = database.transaction(async (tx) => {
    await insertItem(tx, id, 1n);
    await insertItem(tx, id, 1n).catch(() => undefined);
  });
  await expect(hiding).rejects.toThrow('no error inside a transaction is swallowed');
  expect(await findItem(database, id)).toEqual([]);
});

test('a statement after the end of its transaction is a bug, not a write of its own', async () => {
  const escaped = await database.transaction(async (tx) => ({ tx }));
  await expect(insertItem(escaped.tx, named('late'), 1n)).rejects.toThrow('after its end');
});

test('a duplicate is told by the name of its constraint, and no value is in any text', async () => {
  const id = named('twice');
  await insertItem(database, id, 1n);
  const error = await insertItem(database, id, 1n).catch((caught: unknown) => caught);
  expect(uniqueViolation(error)).toBe('items_pkey');
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('7477696365');
});

test('of statements that are sent together, all fail for the reason of the first', async () => {
  const id = named('together');
  await insertItem(database, id, 1n);
  const together = database.transaction(async (tx) => {
    // Whoever wraps a promise in others hears later of its failure.
    const first = insertItem(tx, id, 2n).catch(async (failure: unknown) => {
      await sleep(10);
      throw failure;
    });
    await Promise.all([first, findItem(tx, id)]);
  });
  const error: unknown = await together.catch((thrown: unknown) => thrown);
  expect(uniqueViolation(error)).toBe('items_pkey');
});

test('transactions that deadlock are run again until both are done', async () => {
  const [a, b] = [named('a'), named('b')];
  await insertItem(database, a, 0n);
  await insertItem(database, b, 0n);
  let runs = 0;
  const both = new Promise<void>((resolve) => {
    setTimeout(resolve, 100);
  });
  const change = async (first: Uint8Array, second: Uint8Array): Promise<void> => {
    await database.transaction(async (tx) => {
      runs++;
      await setItem(tx, first, BigInt(runs));
      await both;
      await setItem(tx, second, BigInt(runs));
    });
  };
  await Promise.all([change(a, b), change(b, a)]);
  expect(runs).toBe(3);
});

test('a table that was empty at the last look is read by its index', async () => {
  await database.query({ text: 'CREATE TABLE waiting (n bigint PRIMARY KEY)' });
  await database.query({ text: 'VACUUM ANALYZE waiting' });
  const plan = await database.query<{ 'QUERY PLAN': string }>({
    text: 'EXPLAIN SELECT n FROM waiting WHERE n = 1',
  });
  expect(plan.map((line) => line['QUERY PLAN']).join(' ')).toContain('Index');
});

test('a statement that takes too long is UNAVAILABLE and leaves a working pool', async () => {
  const slow = database.transaction(async (tx) => await tx.query({ text: 'SELECT pg_sleep(10)' }), {
    statementMs: 50,
  });
  await expect(slow).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  expect(await database.query({ text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }]);
});

test('a connection that the server ends is UNAVAILABLE once and then replaced', async () => {
  const killed = database.transaction(
    async (tx) => await tx.query({ text: 'SELECT pg_terminate_backend(pg_backend_pid())' }),
  );
  await expect(killed).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  expect(await database.query({ text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }]);
});

test('a server that is not there is UNAVAILABLE', async () => {
  const config = { host: '/nowhere', user: 'postgres', database: 'postgres' };
  await using nowhere = new Database(config, 1);
  await expect(nowhere.query({ text: 'SELECT 1' })).rejects.toMatchObject({
    reason: 'UNAVAILABLE',
  });
  const transaction = nowhere.transaction(async () => undefined);
  await expect(transaction).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});

test('many rows go in few statements, in order, with the parameters that they share', async () => {
  const rows = Array.from({ length: 11 }, (_, n): [Uint8Array, bigint] => [
    named(`row ${n}`),
    BigInt(n),
  ]);
  const numbers = await database.transaction(async (tx) => await insertItems(tx, rows, 100n));
  expect(numbers.map(({ number }) => number)).toEqual(rows.map(([, n]) => n + 100n));
  expect(await insertItems(database, [], 100n)).toEqual([]);
});

test('one row that does not fit undoes all of them', async () => {
  const rows = [5n, 6n, 7n, -101n].map((n): [Uint8Array, bigint] => [named(`misfit ${n}`), n]);
  const failing = database.transaction(async (tx) => await insertItems(tx, rows, 100n));
  await expect(failing).rejects.toThrow('items_number_check');
  expect(await findItem(database, named('misfit 5'))).toEqual([]);
});

test('statements that do not fit the schema are found by name', async () => {
  statement('test_find_nothing', 'SELECT nothing FROM items WHERE id = $1');
  const found = await wrongStatements(database);
  expect(Object.keys(found)).toEqual(['test_find_nothing']);
});
