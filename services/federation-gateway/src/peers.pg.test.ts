import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { type Domain, parseDomain } from '@roost/core/ids';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { printDirectory, signDirectory } from '@roost/federation/directory';
import { firstKey, keyIdOf, nextKey, type OwnKey, replacementKey } from '@roost/federation/keys';
import { TestClock } from '@roost/testing/clock';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';

import { PeerUnreachable } from './discovery/unreachable.ts';
import { Peers } from './peers.ts';

const home = parseDomain('a.example');
const peer = parseDomain('b.example');
let database: FreshDatabase;
let clock: TestClock;
let keys: OwnKey[];
let serial: bigint;
let fetches: number;
/** What is published instead of what should be. */
let instead: (() => Promise<Uint8Array>) | undefined;

beforeEach(async () => {
  database = await freshDatabase(new URL('../migrations/', import.meta.url));
  clock = new TestClock();
  keys = [firstKey(crypto, peer, clock.now())];
  [serial, fetches, instead] = [1n, 0, undefined];
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
});

function document(of = keys, domain = peer, protocol = { min: 1, max: 1 }): Uint8Array {
  const about = { endpoint: { host: 'federation.b.example', port: 443 }, pins: [], protocol };
  const directory = { ...about, domain, serial: serial++, createdMs: clock.now(), keys: of };
  return utf8(printDirectory(signDirectory(crypto, directory)));
}

function replica(): Peers {
  const fetchDocument = async (domain: Domain) => {
    fetches++;
    return instead === undefined ? document(keys, domain) : await instead();
  };
  const protocol = { min: 1, max: 1 };
  const events = { searched: () => undefined };
  return new Peers({ ...{ database, crypto, clock, home, protocol, events }, fetchDocument });
}

const idOf = (key: OwnKey) => keyIdOf(crypto, key.publicKey);
const refused = (reason: string, message: unknown = expect.anything()) =>
  expect.objectContaining({ reason, message });

test('a peer is looked for once, by all replicas and callers together, and kept', async () => {
  const [a, b] = [replica(), replica()];
  const found = await Promise.all([a.find(peer), a.find(peer), a.find(peer)]);
  expect(found.map(({ version, keys: known }) => [version, known.length])).toEqual(
    Array.from({ length: 3 }, () => [1, 1]),
  );
  expect(found[0]?.directory.endpoint).toEqual({ host: 'federation.b.example', port: 443 });
  expect((await b.find(peer)).firstMetMs).toBe(clock.now());
  clock.advance(11 * HOUR_MS);
  await b.find(peer);
  expect(fetches).toBe(1);
});

test('one that shows what nobody published is looked for again, once a minute', async () => {
  const peers = replica();
  const isEnough = ({ directory }: { directory: { serial: bigint } }) => directory.serial > 1n;
  await peers.find(peer);
  for (let n = 0; n < 3; n++) {
    expect(await peers.findSigner(peer, idOf(keys[0]!), isEnough)).toMatchObject({
      directory: { serial: 1n },
    });
  }
  expect(fetches).toBe(1);
  clock.advance(MINUTE_MS);
  expect(await peers.findSigner(peer, idOf(keys[0]!), isEnough)).toMatchObject({
    directory: { serial: 2n },
  });
});

test('it is looked for again at half of its time, and what is known lasts while it is away', async () => {
  const peers = replica();
  await peers.find(peer);
  clock.advance(13 * HOUR_MS);
  await peers.find(peer);
  expect(fetches).toBe(2);
  instead = () => Promise.reject(new PeerUnreachable('connection', 'b.example is away'));
  clock.advance(23 * HOUR_MS);
  expect(await peers.find(peer)).toMatchObject({ domain: peer });
  clock.advance(2 * HOUR_MS);
  await expect(peers.find(peer)).rejects.toEqual(refused('UNAVAILABLE', 'b.example is away'));
  instead = undefined;
  await expect(peers.find(peer)).rejects.toEqual(refused('UNAVAILABLE', 'b.example is away'));
  clock.advance(MINUTE_MS);
  expect(await peers.find(peer)).toMatchObject({
    firstMetMs: clock.now() - 38 * HOUR_MS - MINUTE_MS,
  });
});

test('while one replica looks, the others wait for what it finds', async () => {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  instead = () => promise;
  const finding = [replica(), replica(), replica()].map((each) => each.find(peer));
  setTimeout(() => resolve(document()), 150);
  expect((await Promise.all(finding)).map(({ domain }) => domain)).toEqual([peer, peer, peer]);
  expect(fetches).toBe(1);
});

test('a domain that is not found is looked for once a minute, whoever asks how often', async () => {
  instead = () => Promise.reject(new PeerUnreachable('address', 'b.example leads inside'));
  const replicas = [replica(), replica()];
  for (let second = 0; second < 180; second++) {
    for (const peers of replicas) {
      await expect(peers.find(peer)).rejects.toEqual(
        refused('UNAVAILABLE', expect.stringMatching(/leads inside|a moment ago/)),
      );
    }
    clock.advance(1_000);
  }
  expect(fetches).toBe(3);
});

test('a flood of unknown key ids makes us look once a minute', async () => {
  const peers = replica();
  await peers.find(peer);
  clock.advance(2 * MINUTE_MS);
  for (let n = 0; n < 50; n++) await peers.findSigner(peer, crypto.random(8));
  expect(fetches).toBe(2);
  await peers.findSigner(peer, idOf(keys[0]!));
  expect(fetches).toBe(2);
});

test('a key that was rotated in between is found by its first envelope', async () => {
  const peers = replica();
  await peers.find(peer);
  keys.push(nextKey(crypto, peer, keys[0]!, clock.now()));
  clock.advance(5 * MINUTE_MS);
  const { keys: known } = await peers.findSigner(peer, idOf(keys[1]!));
  expect(known.map(({ keyId }) => keyId)).toEqual(keys.map(idOf));
});

test('a revoked key is known as such from the next look on, at every replica', async () => {
  await replica().find(peer);
  const [stolen] = keys;
  keys = [
    { ...stolen!, revokedAt: clock.now() },
    replacementKey(crypto, peer, stolen!, clock.now()),
  ];
  clock.advance(MINUTE_MS);
  await replica().findSigner(peer, idOf(keys[1]!));
  const known = (await replica().find(peer)).keys;
  const revoked = known.filter(({ revokedAt }) => revokedAt !== undefined);
  expect(revoked.map(({ keyId }) => keyId)).toEqual([idOf(stolen!)]);
});

test('a stranger who took over the domain is not believed until the operator says so', async () => {
  const peers = replica();
  await peers.find(peer);
  const before = keys;
  keys = [firstKey(crypto, peer, clock.now())];
  clock.advance(DAY_MS);
  await expect(peers.find(peer)).rejects.toEqual(
    refused('UNAVAILABLE', expect.stringContaining('follows from none that is known')),
  );
  // Nothing of it was kept.
  instead = async () => document(before);
  clock.advance(MINUTE_MS);
  expect((await peers.find(peer)).keys.map(({ keyId }) => keyId)).toEqual(before.map(idOf));

  instead = undefined;
  await expect(peers.trustAnew(peer, [idOf(before[0]!)])).rejects.toEqual(refused('NOT_ALLOWED'));
  await peers.trustAnew(peer, keys.map(idOf));
  const after = (await peers.find(peer)).keys.filter(({ revokedAt }) => revokedAt === undefined);
  expect(after.map(({ keyId }) => keyId)).toEqual(keys.map(idOf));
});

test.each<[string, () => Uint8Array]>([
  ['no JSON', () => utf8('<html>')],
  ['no directory', () => utf8('{}')],
  ['a torn directory', () => document().slice(0, 200)],
  ['the directory of another domain', () => document(keys, parseDomain('c.example'))],
  [
    'one that is from the future',
    () => {
      clock.advance(HOUR_MS);
      const made = document();
      clock.advance(-HOUR_MS);
      return made;
    },
  ],
])('%s is the trouble of the peer, and nothing of it is kept', async (_, made) => {
  instead = async () => made();
  await expect(replica().find(peer)).rejects.toEqual(refused('UNAVAILABLE'));
  expect(await database.query({ text: 'SELECT FROM peers' })).toEqual([]);
});

test('a peer with which no version is common is told apart from one that is away', async () => {
  instead = async () => document(keys, peer, { min: 2, max: 3 });
  await expect(replica().find(peer)).rejects.toEqual(
    refused(
      'FEDERATION_DENIED',
      'a.example speaks federation version 1 and b.example versions 2 to 3: a.example has to be upgraded',
    ),
  );
});

test('names that somebody makes up wait for each other', async () => {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  instead = () => promise;
  const peers = replica();
  const refusals: unknown[] = [];
  const all = Promise.withResolvers<void>();
  const searching = Array.from({ length: 60 }, async (_, n) => {
    await peers.find(parseDomain(`${n}.b.example`)).catch((error: unknown) => {
      if (refusals.push(error) === 60 - 48) all.resolve();
    });
  });
  await all.promise;
  expect(refusals).toEqual(Array.from({ length: 12 }, () => refused('RATE_LIMITED')));
  resolve(document());
  await Promise.all(searching);
  expect([fetches, refusals.length]).toEqual([48, 60]);
});
