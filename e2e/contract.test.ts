// The contract holds together: every method has a whole rule, the protos are clean, and a change
// that would break a peer of yesterday is caught.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { afterAll, expect, test } from '@jest/globals';

interface Rule {
  readonly token: string;
  readonly caller: string;
  readonly federated: boolean;
  readonly services: readonly string[];
  readonly requestBytesMax: number;
  readonly service: string;
  readonly limiterAway: string;
  readonly destination: string;
}

const root = join(import.meta.dirname, '..');
const proto = join(root, 'proto');
const rules: Record<string, Rule> = JSON.parse(readFileSync(join(proto, 'gen/rules.json'), 'utf8'));
const entries = Object.entries(rules);
const federated = entries.filter(([, rule]) => rule.federated);
const SERVICES = ['as', 'aas', 'qs', 'ds', 'federation-gateway'];
/** Callers that are no clients. */
const OTHERS = new Set(['CALLER_SERVICE', 'CALLER_OPERATOR', 'CALLER_PEER']);
const temporary = mkdtempSync(join(tmpdir(), 'roost-contract-'));
afterAll(() => rmSync(temporary, { recursive: true }));

function buf(...args: string[]): { status: number | null; output: string } {
  const done = spawnSync(join(root, 'node_modules/.bin/buf'), args, {
    cwd: root,
    encoding: 'utf8',
  });
  return { status: done.status, output: `${done.stdout}${done.stderr}` };
}

/** A copy of the protos in which `change` was made to one file. */
function changed(name: string, file: string, change: (text: string) => string): string {
  const copy = join(temporary, name);
  const skipped = new Set(['gen', 'node_modules']);
  cpSync(proto, copy, { recursive: true, filter: (path) => !skipped.has(basename(path)) });
  const before = readFileSync(join(copy, file), 'utf8');
  const after = change(before);
  expect(after).not.toBe(before);
  writeFileSync(join(copy, file), after);
  return copy;
}

test('every method says what it costs, who calls it, and whose it is', () => {
  expect(entries.length).toBeGreaterThan(30);
  for (const [path, rule] of entries) {
    expect([path, rule.token]).not.toEqual([path, 'TOKEN_CLASS_UNSPECIFIED']);
    expect([path, rule.caller]).not.toEqual([path, 'CALLER_UNSPECIFIED']);
    expect([path, SERVICES.includes(rule.service)]).toEqual([path, true]);
  }
});

test('a method for services names them, and no other method does', () => {
  for (const [path, rule] of entries) {
    const internal = rule.caller === 'CALLER_SERVICE';
    expect([path, rule.services.length > 0]).toEqual([path, internal]);
    expect(rule.services.length).toBeLessThanOrEqual(8);
  }
});

test('a method for services or operators is in a service of its own, and never federated', () => {
  for (const [path, rule] of entries) {
    const inside = rule.caller === 'CALLER_SERVICE' || rule.caller === 'CALLER_OPERATOR';
    // What Envoy calls is named by Envoy.
    const isNamedInside = /(Internal|Admin)Service\/|^\/envoy\./.test(path);
    expect([path, isNamedInside]).toEqual([path, inside]);
    if (inside) expect([path, rule.federated]).toEqual([path, false]);
  }
});

test('only what design §4 lists costs clients no token', () => {
  const exempt = entries
    .filter(([, { token }]) => token === 'TOKEN_CLASS_EXEMPT')
    .filter(([, { caller }]) => !OTHERS.has(caller))
    .map(([path]) => path.replace(/^\/roost\.\w+\.v1\./, ''));
  expect(exempt.toSorted()).toEqual([
    'AuthenticationService/BeginRegistration',
    'AuthenticationService/FinishRegistration',
    'AuthenticationService/GetHomeserver',
    'AuthenticationService/GetPublicKeys',
    'AuthenticationService/RenewCredential',
    'DeliveryService/GetExternalSender',
    'TokenService/GetIssuerKeys',
    'TokenService/IssueTokens',
  ]);
});

test('what leaves a trace is refused where nobody can count it, what is read passes', () => {
  const refused = entries.filter(([, { limiterAway }]) => limiterAway === 'LIMITER_AWAY_REFUSE');
  expect(refused.map(([path]) => path.replace(/^.*\//, '')).toSorted()).toEqual([
    'BeginRegistration',
    'FinishRegistration',
    'RenewCredential',
  ]);
});

test('finding people, writing to them, and claiming their KeyPackages cost CONTACT tokens', () => {
  const contact = entries
    .filter(([, { token }]) => token === 'TOKEN_CLASS_CONTACT')
    .map(([path]) => path.replace(/^.*\//, ''));
  expect(contact.toSorted()).toEqual(['ClaimAddPackages', 'EnqueueDirect', 'FindUser']);
});

test('a request of a client is at most as large as design §2 says, with an envelope a little more', () => {
  for (const [path, { requestBytesMax, caller }] of entries) {
    const max = OTHERS.has(caller) ? 4 << 20 : 2 << 20;
    expect([path, requestBytesMax <= max]).toEqual([path, true]);
  }
  const largest = Math.max(...federated.map(([, { requestBytesMax }]) => requestBytesMax));
  for (const path of ['FederationInternalService/Forward', 'PeerService/Call']) {
    const rule = rules[`/roost.federation.v1.${path}`];
    // An envelope, a proof, a path and their lengths.
    expect((rule?.requestBytesMax ?? 0) - largest).toBeGreaterThanOrEqual(2_048 + 1_024 + 512);
  }
});

test('a method that travels says where to, and who signs it can be judged by the request alone', () => {
  for (const [path, { caller, destination, federated: isFederated }] of entries) {
    expect([path, destination !== '']).toEqual([path, isFederated]);
    const canTravel = ['CALLER_ANYONE', 'CALLER_NEW_KEY', 'CALLER_GROUP_MEMBER'].includes(caller);
    if (isFederated) expect([path, canTravel]).toEqual([path, true]);
  }
});

test("groups are made on one's own homeserver; whatever else concerns one travels to its hub", () => {
  const delivery = entries.filter(([path]) => path.includes('.DeliveryService/'));
  const staying = delivery.filter(([, rule]) => !rule.federated).map(([path]) => path);
  expect(staying).toEqual(['/roost.delivery.v1.DeliveryService/CreateGroup']);
  const elsewhere = federated.filter(([path]) => !path.includes('.DeliveryService/'));
  expect(
    elsewhere.map(([path, { destination }]) => [path.replace(/^.*\//, ''), destination]),
  ).toEqual(
    expect.arrayContaining([
      ['GetPublicKeys', 'domain'],
      ['FindUser', 'user_name'],
      ['EnqueueDirect', 'user_id'],
      ['ClaimAddPackages', 'owner_domain'],
    ]),
  );
  expect(elsewhere).toHaveLength(4);
});

test('buf lint passes', () => {
  expect(buf('lint', 'proto')).toEqual({ status: 0, output: '' });
});

test('buf breaking passes an added field', () => {
  const copy = changed('added', 'roost/tokens/v1/tokens.proto', (text) =>
    text.replace('message GetIssuerKeysRequest {}', 'message GetIssuerKeysRequest { bool x = 1; }'),
  );
  expect(buf('breaking', copy, '--against', 'proto')).toEqual({ status: 0, output: '' });
});

test('buf breaking names a removed field, a changed type, and a removed method', () => {
  const file = 'roost/tokens/v1/tokens.proto';
  const removed = changed('removed', file, (text) => text.replace('  bytes key_set = 1;\n', ''));
  expect(buf('breaking', removed, '--against', 'proto')).toEqual({
    status: 100,
    output: expect.stringMatching(/field "1" with name "key_set" on message "GetIssuerKeysRe/),
  });

  const retyped = changed('retyped', file, (text) =>
    text.replace('uint32 period = 3', 'string period = 3'),
  );
  expect(buf('breaking', retyped, '--against', 'proto')).toEqual({
    status: 100,
    output: expect.stringContaining('"period" on message "IssueTokensRequest" changed type'),
  });

  const forgotten = changed('forgotten', file, (text) =>
    text.replace(/ {2}rpc GetIssuerKeys[^}]*\};\n {2}\}\n/, ''),
  );
  expect(buf('breaking', forgotten, '--against', 'proto')).toEqual({
    status: 100,
    output: expect.stringContaining('"GetIssuerKeys" on service "TokenService" was deleted'),
  });
});
