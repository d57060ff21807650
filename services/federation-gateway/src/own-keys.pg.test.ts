import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { MemoryBell } from '@roost/bus/memory';
import { equal } from '@roost/core/bytes';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { sealRandom } from '@roost/crypto/sealed';
import { readDirectory } from '@roost/federation/directory';
import { keyIdOf } from '@roost/federation/keys';
import { extendTrust, type Trust } from '@roost/federation/trust';
import { TestClock } from '@roost/testing/clock';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';

import { OwnKeys, type OwnKeysPorts } from './own-keys.ts';
import * as store from './store/keys.ts';

const domain = parseDomain('a.example');
const about: OwnKeysPorts['about'] = {
  endpoint: { host: 'federation.a.example', port: 8443 },
  ...{ pins: [], protocol: { min: 1, max: 1 } },
};
let database: FreshDatabase;
let clock: TestClock;

beforeEach(async () => {
  database = await freshDatabase(new URL('../migrations/', import.meta.url));
  clock = new TestClock();
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
});

const secretKey = crypto.random(32);
const bell = new MemoryBell();
async function replica(changes: Partial<OwnKeysPorts> = {}): Promise<OwnKeys> {
  const ports = { database, crypto, clock, domain, secretKey, about, bell };
  const keys = new OwnKeys({ ...ports, ...changes });
  await keys.rotate();
  return keys;
}

/** What a peer makes of what is published. */
function read(keys: OwnKeys, before?: Trust): Trust {
  const signed = readDirectory(crypto, keys.directory);
  return extendTrust(crypto, { domain, nowMs: clock.now() }, signed, before);
}

test('replicas that start at once have one key and publish the same bytes', async () => {
  const [a, b, c] = await Promise.all([replica(), replica(), replica()]);
  expect([a, b, c].map(({ signer }) => signer.publicKey)).toEqual(
    Array.from({ length: 3 }, () => a.signer.publicKey),
  );
  expect([b.directory, c.directory]).toEqual([a.directory, a.directory]);
  expect(read(a)).toMatchObject({ serial: BigInt(clock.now()) });
});

test('a key that everybody can sign with is not put in, and one that lies there is not signed with', async () => {
  const privateKey = new Uint8Array(32).fill(7);
  const pair = { privateKey, publicKey: crypto.ed25519.publicKey(privateKey) };
  const careless = { ...crypto, ed25519: { ...crypto.ed25519, generate: () => pair } };
  await expect(replica({ crypto: careless })).rejects.toThrow('everybody can sign with');
  const keys = await replica();
  await database.query({ text: 'UPDATE keys SET public_key = $1', values: [pair.publicKey] });
  const { privateKey: own, publicKey } = keys.signer;
  const sealed = sealRandom(crypto, secretKey, pair.publicKey, own);
  await database.query({ text: 'UPDATE keys SET private_sealed = $1', values: [sealed] });
  await expect(replica()).rejects.toThrow('everybody can sign with');
  expect(publicKey).not.toEqual(pair.publicKey);
});

test('two homeservers have different keys, and no private key lies in clear', async () => {
  const keys = await replica();
  await using other = await freshDatabase(new URL('../migrations/', import.meta.url));
  const theirs = await replica({ database: other });
  expect(theirs.signer.publicKey).not.toEqual(keys.signer.publicKey);
  const rows = await database.query<{ row: string }>({ text: 'SELECT k::text AS row FROM keys k' });
  const hex = Buffer.from(keys.signer.privateKey).toString('hex');
  expect(rows.map(({ row }) => row.includes(hex))).toEqual([false]);
  await expect(replica({ secretKey: crypto.random(32) })).rejects.toThrow(/open with the secret/);
});

test('over a year a peer that looks once a day can follow every key, and one always signs', async () => {
  const keys = await replica();
  let trust = read(keys);
  const signers = new Set<string>();
  for (let day = 0; day < 365; day++) {
    clock.advance(DAY_MS);
    await keys.rotate();
    const id = keyIdOf(crypto, keys.signer.publicKey);
    // It signs with what the peer read yesterday.
    expect(trust.keys.some(({ keyId }) => Buffer.from(keyId).equals(id))).toBe(true);
    signers.add(Buffer.from(id).toString('hex'));
    trust = read(keys, trust);
  }
  expect(signers.size).toBeGreaterThanOrEqual(4);
  expect(signers.size).toBeLessThanOrEqual(6);
});

test('after a year of silence a key signs at once, and follows from the last one', async () => {
  const trust = read(await replica());
  clock.advance(365 * DAY_MS);
  const keys = await replica();
  expect(keys.all).toHaveLength(2);
  expect(read(keys, trust).keys).toHaveLength(2);
});

test('what is published stays as it is for hours, and grows in its serial with every change', async () => {
  const keys = await replica();
  const first = keys.directory;
  clock.advance(5 * HOUR_MS);
  await keys.rotate();
  expect(keys.directory).toEqual(first);
  clock.advance(2 * HOUR_MS);
  await keys.rotate();
  const { serial } = read(keys);
  expect(serial).toBe(BigInt(clock.now()));
  const moved = await replica({ about: { ...about, endpoint: { host: 'b.a.example', port: 1 } } });
  // In the same millisecond too.
  expect(read(moved).serial).toBe(serial + 1n);
});

test('a homeserver whose database was restored is believed by who read of what came after the backup', async () => {
  const keys = await replica();
  const backup = await store.findDirectory(database);
  clock.advance(HOUR_MS);
  const about2 = { ...about, endpoint: { host: 'b.a.example', port: 1 } };
  const trust = read(await replica({ about: about2 }), read(keys));
  await store.putDirectory(database, backup!);
  clock.advance(HOUR_MS);
  expect(read(await replica({ about: about2 }), trust).serial).toBeGreaterThan(trust.serial);
});

test('an announced key is published at once and signs after a day', async () => {
  const keys = await replica();
  const [before, next] = [keys.signer, await keys.announce()];
  expect(read(keys).keys).toHaveLength(2);
  expect(keys.signer.publicKey).toEqual(before.publicKey);
  await expect(keys.announce()).rejects.toMatchObject({ reason: 'LIMIT_REACHED' });
  clock.advance(DAY_MS);
  expect(keys.signer.publicKey).toEqual(next.publicKey);
});

test('a revoked key signs no more, another does at once, and who knew the first follows', async () => {
  const keys = await replica();
  const [trust, stolen] = [read(keys), keys.signer];
  await keys.revoke(keyIdOf(crypto, stolen.publicKey));
  expect(keys.signer.publicKey).not.toEqual(stolen.publicKey);
  const after = read(keys, trust);
  expect(after.keys.map(({ revokedAt }) => revokedAt !== undefined)).toEqual([true, false]);
  await keys.revoke(keyIdOf(crypto, stolen.publicKey));
  expect(keys.all).toHaveLength(2);
  await expect(keys.revoke(new Uint8Array(8))).rejects.toMatchObject({ reason: 'MALFORMED' });
  // The replica that slept through it hears of it at its next look.
  const late = await replica();
  expect(late.signer.publicKey).toEqual(keys.signer.publicKey);
});

test('a key that one replica revokes signs at no other any more, without a minute having passed', async () => {
  const [a, b] = [await replica(), await replica()];
  const before = b.signer.publicKey;
  const troubles: unknown[] = [];
  const rope = b.follow((error) => troubles.push(error));
  await a.revoke(keyIdOf(crypto, before));
  while (equal(b.signer.publicKey, before) && troubles.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(troubles).toEqual([]);
  expect(b.signer.publicKey).toEqual(a.signer.publicKey);
  rope.close();
});

test('a key that is revoked before it ever signed breaks no chain', async () => {
  const keys = await replica();
  const announced = await keys.announce();
  let trust = read(keys);
  await keys.revoke(keyIdOf(crypto, announced.publicKey));
  trust = read(keys, trust);
  const again = await keys.announce();
  trust = read(keys, trust);
  clock.advance(DAY_MS);
  expect(keys.signer.publicKey).toEqual(again.publicKey);
  await keys.rotate();
  // The first, the one that was revoked, the one that told of it, and the one that was announced again.
  expect(read(keys, trust).keys).toHaveLength(4);
});

test('what signs after a key was revoked is known to nobody, so that who meets it reads of the end of the other', async () => {
  const keys = await replica();
  const stolen = keyIdOf(crypto, keys.signer.publicKey);
  await keys.announce();
  clock.advance(DAY_MS - 1);
  const before = read(keys);
  const known = before.keys.map(({ keyId }) => keyId);
  await keys.revoke(stolen);
  expect(known).not.toContainEqual(keyIdOf(crypto, keys.signer.publicKey));
  clock.advance(1);
  const announced = keys.all[1]!;
  await keys.revoke(keyIdOf(crypto, announced.publicKey));
  expect(keys.signer).toMatchObject({ notBefore: clock.now() });
  const after = read(keys, before);
  expect(after.keys.filter(({ revokedAt }) => revokedAt === undefined)).toHaveLength(2);
});
