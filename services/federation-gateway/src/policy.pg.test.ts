import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';

import { Policy } from './policy.ts';
import {
  dropListing,
  type Kind,
  listListings,
  type Mode,
  putListing,
  setMode,
} from './store/policy.ts';

const home = parseDomain('a.example');
const peer = parseDomain('b.example');
let database: FreshDatabase;

beforeAll(async () => {
  database = await freshDatabase(new URL('../migrations/', import.meta.url));
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await setMode(database, 'allowlist');
  await dropListing(database, peer);
});

const list = async (kind: Kind, sinceMs = 1_000) =>
  await putListing(database, { domain: peer, kind, endpoint: '', note: 'ours', sinceMs });
/** Each asks by a policy of its own, as another replica would. */
const isLetIn = async (domain = peer) =>
  await new Policy(database, home).admit(domain).then(
    () => true,
    (error: { reason: string }) => (error.reason === 'FEDERATION_DENIED' ? false : error),
  );

test('a new homeserver is closed', async () => {
  expect(await isLetIn()).toBe(false);
});

test.each<[Mode, Kind | undefined, boolean]>([
  ['allowlist', undefined, false],
  ['allowlist', 'allowed', true],
  ['allowlist', 'blocked', false],
  ['open', undefined, true],
  ['open', 'allowed', true],
  ['open', 'blocked', false],
])('%s, %s: %s', async (mode, kind, is) => {
  await setMode(database, mode);
  if (kind !== undefined) await list(kind);
  expect(await isLetIn()).toBe(is);
});

test('a change holds for who asked before, at once, and for that domain alone', async () => {
  const policy = new Policy(database, home);
  await list('allowed');
  expect(await policy.admit(peer)).toMatchObject({ kind: 'allowed', note: 'ours', sinceMs: 1_000 });
  await list('blocked');
  await expect(policy.admit(peer)).rejects.toThrow(
    'a.example does not exchange messages with b.example',
  );
  await setMode(database, 'open');
  await expect(policy.admit(peer)).rejects.toMatchObject({ reason: 'FEDERATION_DENIED' });
  expect(await policy.admit(parseDomain('c.example'))).toBeUndefined();
  await dropListing(database, peer);
  expect(await policy.admit(peer)).toBeUndefined();
});

test('nobody is let in in our own name', async () => {
  await setMode(database, 'open');
  expect(await isLetIn(home)).toBe(false);
});

test('a listing that is repeated says since when it holds', async () => {
  await list('allowed', 1_000);
  await list('allowed', 2_000);
  expect(await listListings(database, 10)).toMatchObject([{ domain: peer, sinceMs: 1_000 }]);
  await list('blocked', 3_000);
  expect(await listListings(database, 10)).toMatchObject([{ kind: 'blocked', sinceMs: 3_000 }]);
});

test('where the policy is lost, nobody is let in', async () => {
  await database.query({ text: 'DELETE FROM policy' });
  try {
    expect(await isLetIn()).toBe(false);
  } finally {
    await database.query({ text: 'INSERT INTO policy DEFAULT VALUES' });
  }
});
