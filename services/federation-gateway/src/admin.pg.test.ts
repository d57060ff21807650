// What the operator of A asks of its gateway, with B at the other end.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { equal, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type AuditRow, checkAudit } from '@roost/federation/audit';
import { keyIdOf } from '@roost/federation/keys';
import { FindUserRequest } from '@roost/proto/roost/authentication/v1/authentication';
import {
  type AuditKey,
  FederationAdminServiceDefinition,
  FederationMode,
  ListingKind,
} from '@roost/proto/roost/federation/v1/admin';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { TestClock } from '@roost/testing/clock';

import { freePort, HOMES, openHome } from './homeserver.fixture.ts';
import { dropRows } from './store/ledger.ts';

const [A, B, C] = HOMES as [Domain, Domain, Domain];
const clock = new TestClock();
type Home = Awaited<ReturnType<typeof openHome>>;
let a: Home;
let b: Home;

beforeAll(async () => {
  const port = await freePort('127.0.0.2');
  [a, b] = await Promise.all([openHome(A, clock, port), openHome(B, clock, port)]);
});
afterAll(async () => {
  await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
});
beforeEach(async () => {
  await operatorOf(a).setMode({ mode: FederationMode.ALLOWLIST });
  await Promise.all([list(a, B), list(b, A)]);
});

const operatorOf = ({ gateway }: Home, as = 'operator') =>
  clientOf(FederationAdminServiceDefinition, localTransport(gateway.bindings, as));
const list = async (home: Home, domain: Domain, kind: ListingKind = ListingKind.ALLOWED) =>
  await operatorOf(home).setListing({
    listing: { domain, kind, endpoint: '', note: 'ours', sinceMs: 0n },
  });
const findersOf = ({ gateway }: Home, destination: Domain) => {
  const transport = localTransport(gateway.bindings, 'as');
  const client = clientOf(FederationInternalServiceDefinition, transport);
  const request = FindUserRequest.encode({ userName: `bob@${destination}` }).finish();
  const method = '/roost.authentication.v1.AuthenticationService/FindUser';
  return async () =>
    await client.forward({ destination, method, request, proof: new Uint8Array(0) });
};

test('nobody else than the operator is answered', async () => {
  for (const as of ['edge', 'peer', 'as', 'federation-gateway']) {
    await expect(operatorOf(a, as).getPolicy({})).rejects.toMatchObject({
      reason: 'METHOD_UNKNOWN',
    });
  }
});

test('the policy is told as it was set, and what makes no sense is not set', async () => {
  const operator = operatorOf(a);
  await operator.setListing({
    listing: {
      ...{ domain: C, kind: ListingKind.BLOCKED, endpoint: 'c.example:8443', note: 'x' },
      sinceMs: 5n,
    },
  });
  await operator.setMode({ mode: FederationMode.OPEN });
  expect(await operator.getPolicy({})).toEqual({
    mode: FederationMode.OPEN,
    listings: [
      {
        domain: B,
        kind: ListingKind.ALLOWED,
        endpoint: '',
        note: 'ours',
        sinceMs: BigInt(clock.now()),
      },
      {
        ...{ domain: C, kind: ListingKind.BLOCKED, endpoint: 'c.example:8443', note: 'x' },
        sinceMs: BigInt(clock.now()),
      },
    ],
  });
  const listing = { domain: C, kind: ListingKind.ALLOWED, endpoint: '', note: '', sinceMs: 0n };
  for (const wrong of [
    undefined,
    { ...listing, domain: '127.0.0.1' },
    { ...listing, domain: A },
    { ...listing, kind: 7 as ListingKind },
    { ...listing, endpoint: 'c.example' },
    { ...listing, note: 'x'.repeat(257) },
  ]) {
    await expect(operator.setListing({ listing: wrong })).rejects.toMatchObject({
      reason: 'MALFORMED',
    });
  }
  await expect(operator.setMode({ mode: 7 as FederationMode })).rejects.toBeInstanceOf(Failure);
  await operator.setListing({ listing: { ...listing, kind: ListingKind.UNSPECIFIED } });
  expect((await operator.getPolicy({})).listings.map(({ domain }) => domain)).toEqual([B]);
});

test('a probe goes the way of an exchange, and says where it ends and what to do', async () => {
  const operator = operatorOf(a);
  const probe = async (domain: Domain) =>
    (await operator.probePeer({ domain })).steps.map(({ name, isOk, finding }) => [
      isOk ? name : `not ${name}`,
      finding,
    ]);
  const names = ['policy', 'address', 'directory', 'keys', 'version', 'connection'];
  expect((await probe(B)).map(([name]) => name)).toEqual(names);
  expect(b.reached.at(-1)).toMatchObject({ service: 'as', call: { source: A } });

  await list(b, A, ListingKind.BLOCKED);
  expect((await probe(B)).at(-1)).toEqual([
    'not connection',
    expect.stringMatching(/b\.example does not exchange .* allow this homeserver$/),
  ]);
  await list(a, B, ListingKind.BLOCKED);
  expect(await probe(B)).toEqual([
    ['not policy', expect.stringContaining('roostctl federation allow b.example')],
  ]);
  const nobody = parseDomain('nobody.example');
  await list(a, nobody);
  expect((await probe(nobody)).at(-1)?.[0]).toBe('not address');
});

test('peers are told by domain, with what is known of them', async () => {
  await findersOf(a, B)();
  const operator = operatorOf(a);
  await operator.setListing({
    listing: { domain: C, kind: ListingKind.BLOCKED, endpoint: '', note: '', sinceMs: 0n },
  });
  const { peers, hasMore } = await operator.listPeers({ after: '' });
  const known = peers.filter(({ domain }) => domain === B || domain === C);
  expect(hasMore).toBe(false);
  expect(known).toMatchObject([
    { domain: B, isAdmitted: true, protocolVersion: 1, failures: 0, trouble: '' },
    { domain: C, isAdmitted: false, protocolVersion: 0, firstMetMs: 0n },
  ]);
  expect(known[0]?.firstMetMs).not.toBe(0n);
  expect((await operator.listPeers({ after: B })).peers.map(({ domain }) => domain)).not.toContain(
    B,
  );
});

test('keys are listed, announced and revoked; a peer that lost its own is trusted by their ids alone', async () => {
  const operator = operatorOf(b);
  const before = (await operator.listKeys({})).keys;
  expect(before.map(({ isCurrent }) => isCurrent)).toEqual([true]);
  const { key } = await operator.rotateKey({});
  expect(key).toMatchObject({ isCurrent: false, revokedAtMs: 0n });
  await expect(operator.rotateKey({})).rejects.toMatchObject({ reason: 'LIMIT_REACHED' });
  await operator.revokeKey({ keyId: before[0]!.keyId });
  const after = (await operator.listKeys({})).keys;
  expect(after).toHaveLength(3);
  expect(after.filter(({ isCurrent }) => isCurrent)).toHaveLength(1);
  await expect(operator.revokeKey({ keyId: new Uint8Array(8) })).rejects.toMatchObject({
    reason: 'MALFORMED',
  });

  const ids = after.filter(({ revokedAtMs }) => revokedAtMs === 0n).map(({ keyId }) => keyId);
  const trust = operatorOf(a);
  await expect(trust.trustPeer({ domain: B, keyIds: ids.slice(1) })).rejects.toMatchObject({
    reason: 'NOT_ALLOWED',
  });
  await expect(trust.trustPeer({ domain: B, keyIds: [] })).rejects.toMatchObject({
    reason: 'MALFORMED',
  });
  await trust.trustPeer({ domain: B, keyIds: ids });
  expect(await findersOf(a, B)()).toEqual({ response: Uint8Array.of(1) });
});

test('the pages of the record are enough to check it, after a rotation and after its beginning is gone', async () => {
  const find = findersOf(a, B);
  for (let n = 0; n < 5; n++) await find();
  const signer = (await operatorOf(a).listKeys({})).keys.find(({ isCurrent }) => isCurrent);
  await operatorOf(a).revokeKey({ keyId: signer!.keyId });
  for (let n = 0; n < 5; n++) {
    clock.advance(61_000);
    await find();
  }
  const whole = await readAll(b);
  expect(whole.checked).toBeGreaterThanOrEqual(10);
  expect(whole.flaws).toEqual([]);
  expect(whole.signers).toBe(2);
  await b.database.transaction(async (tx) => await dropRows(tx, clock.now() - 3 * 61_000));
  const rest = await readAll(b);
  expect(rest.checked).toBeLessThan(whole.checked);
  expect([rest.checked > 0, rest.flaws]).toEqual([true, []]);
  await expect(
    operatorOf(b).readAudit({ chain: new Uint8Array(16), position: 1n }),
  ).rejects.toMatchObject({ reason: 'MALFORMED' });
  expect(clock.now()).toBeGreaterThan(DAY_MS);
});

/** All pages, checked by what is in them and nothing else. */
async function readAll(home: Home) {
  const rows: AuditRow[] = [];
  const keys: AuditKey[] = [];
  const anchors = new Map<string, Uint8Array>();
  const operator = operatorOf(home);
  for (;;) {
    const last = rows.at(-1);
    const place = { chain: last?.chain ?? new Uint8Array(0), position: last?.position ?? 0n };
    const page = await operator.readAudit(place);
    rows.push(...page.rows.map((row) => ({ ...row, acceptedAtMs: Number(row.acceptedAtMs) })));
    keys.push(...page.keys);
    for (const { chain, hash } of page.anchors) anchors.set(toHex(chain), hash);
    if (!page.hasMore) break;
  }
  const keysOf = (source: Domain) =>
    keys
      .filter(({ domain }) => domain === source)
      .map(({ publicKey, notBeforeMs, notAfterMs }) => ({
        ...{ publicKey, keyId: keyIdOf(crypto, publicKey), revokedAt: undefined },
        ...{ notBefore: Number(notBeforeMs), notAfter: Number(notAfterMs) },
      }));
  const signers = keys.filter(
    ({ publicKey }, at) => keys.findIndex((key) => equal(key.publicKey, publicKey)) === at,
  );
  return { ...checkAudit(crypto, rows, keysOf, anchors), signers: signers.length };
}
