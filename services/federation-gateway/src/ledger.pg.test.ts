import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { checkAudit } from '@roost/federation/audit';
import { readEnvelope, signEnvelope } from '@roost/federation/envelope';
import { firstKey, trusted } from '@roost/federation/keys';
import { TestClock } from '@roost/testing/clock';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';

import { type Entry, Ledger } from './ledger.ts';
import { readRows } from './store/ledger.ts';

const [home, peer] = [parseDomain('a.example'), parseDomain('b.example')];
let database: FreshDatabase;
let clock: TestClock;
let key: ReturnType<typeof firstKey>;

beforeEach(async () => {
  database = await freshDatabase(new URL('../migrations/', import.meta.url));
  clock = new TestClock();
  key = firstKey(crypto, peer, clock.now());
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
});

const ledger = () => new Ledger({ database, crypto, clock });

function entry(payload: string, messageId = crypto.random(16)): Entry {
  const order = { source: peer, destination: home, method: '/roost.X/Y', messageId };
  const envelope = signEnvelope(crypto, key, { ...order, createdMs: clock.now() }, utf8(payload));
  const { content } = readEnvelope(envelope);
  const expiresMs = clock.now() + 60_000;
  return { source: peer, messageId, digest: crypto.sha256(content), expiresMs, envelope };
}

async function audit() {
  const rows = await readRows(database, undefined, 10_000);
  const anchors = rows
    .filter(({ position, anchorPosition }) => position === anchorPosition + 1n && position > 1n)
    .map(({ chain, anchor }) => [toHex(chain), anchor] as const);
  return { rows, ...checkAudit(crypto, rows, () => [trusted(crypto, key)], new Map(anchors)) };
}

test('what is accepted is put down once, and every row of it verifies', async () => {
  const [a, b] = [ledger(), ledger()];
  const entries = Array.from({ length: 600 }, (_, n) => entry(`${n}`));
  const told = await Promise.all(entries.map((each, n) => (n % 2 === 0 ? a : b).accept(each)));
  expect(new Set(told)).toEqual(new Set(['new']));
  expect(await audit()).toMatchObject({ checked: 600, flaws: [] });
});

test('the same bytes again are a repetition, also at another replica and at the same moment', async () => {
  const [a, b] = [ledger(), ledger()];
  const once = entry('x');
  const told = await Promise.all([a.accept(once), a.accept(once), b.accept(once)]);
  expect(told.toSorted()).toEqual(['new', 'repeated', 'repeated']);
  expect(await b.accept(once)).toBe('repeated');
  expect(await audit()).toMatchObject({ checked: 1, flaws: [] });
});

test('the same id for other bytes is refused, and does no harm to what came with it', async () => {
  const [a, b] = [ledger(), ledger()];
  const id = crypto.random(16);
  const [one, other] = [entry('one', id), entry('other', id)];
  const told = await Promise.allSettled([
    a.accept(one),
    a.accept(other),
    a.accept(entry('beside')),
  ]);
  expect(told.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  await expect(b.accept(other)).rejects.toMatchObject({ reason: 'REPLAY_MISMATCH' });
  // Of another homeserver it is another id.
  const theirs = { ...other, source: parseDomain('c.example') };
  expect(await b.accept(theirs)).toBe('new');
  expect(await audit()).toMatchObject({ checked: 3, flaws: [] });
});

test('an id may be used again once no envelope with it can be good', async () => {
  const a = ledger();
  const id = crypto.random(16);
  await a.accept(entry('one', id));
  clock.advance(60_000 + 60_000);
  await a.sweep(DAY_MS);
  await expect(a.accept(entry('other', id))).rejects.toMatchObject({ reason: 'REPLAY_MISMATCH' });
  clock.advance(120_000);
  await a.sweep(DAY_MS);
  expect(await a.accept(entry('other', id))).toBe('new');
});

test('rows that are older than wanted go, and the rest verifies on', async () => {
  const [a, b] = [ledger(), ledger()];
  for (const each of ['1', '2', '3']) await a.accept(entry(each));
  await b.accept(entry('4'));
  clock.advance(10 * DAY_MS);
  await a.accept(entry('5'));
  await a.sweep(7 * DAY_MS);
  expect(await audit()).toMatchObject({ checked: 1, flaws: [] });
  await a.accept(entry('6'));
  await b.accept(entry('7'));
  expect(await audit()).toMatchObject({ checked: 3, flaws: [] });
  await database.query({ text: 'UPDATE audit SET accepted_at_ms = accepted_at_ms + 1' });
  expect((await audit()).flaws).not.toEqual([]);
});

test('after a transaction whose end nobody knows, another chain begins', async () => {
  const a = ledger();
  await a.accept(entry('1'));
  await database.query({ text: 'ALTER TABLE audit ADD CONSTRAINT closed CHECK (position < 2)' });
  await expect(a.accept(entry('2'))).rejects.toThrow();
  await database.query({ text: 'ALTER TABLE audit DROP CONSTRAINT closed' });
  expect(await a.accept(entry('3'))).toBe('new');
  const { rows, flaws } = await audit();
  expect([rows.map(({ position }) => position), flaws]).toEqual([[1n, 1n], []]);
});
