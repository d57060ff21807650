// A request of a user of A that is for B: through A's gateway, over TLS, to a service of B.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, scopedWire, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import {
  ENVELOPE_MS,
  signEnvelope,
  type EnvelopeOrder,
  groupTagOf,
} from '@roost/federation/envelope';
import { firstKey, type OwnKey } from '@roost/federation/keys';
import { encodeCall } from '@roost/federation/payload';
import { FindUserRequest } from '@roost/proto/roost/authentication/v1/authentication';
import { GetGroupInfoRequest } from '@roost/proto/roost/delivery/v1/delivery';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { TestClock } from '@roost/testing/clock';

import { freePort, HOMES, openHome } from './homeserver.fixture.ts';
import { putListing, dropListing } from './store/policy.ts';

const [A, B, C] = HOMES as [Domain, Domain, Domain];
const FIND = '/roost.authentication.v1.AuthenticationService/FindUser';
const INFO = '/roost.delivery.v1.DeliveryService/GetGroupInfo';
const clock = new TestClock();
let a: Awaited<ReturnType<typeof openHome>>;
let b: Awaited<ReturnType<typeof openHome>>;

beforeAll(async () => {
  const port = await freePort('127.0.0.2');
  [a, b] = await Promise.all([openHome(A, clock, port), openHome(B, clock, port)]);
});
afterAll(async () => {
  await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
});
beforeEach(async () => {
  await Promise.all([allow(a, B), allow(b, A)]);
  for (const { reached, taken } of [a, b]) {
    reached.splice(0);
    taken.splice(0);
  }
  b.state.answer = async () => Uint8Array.of(7, 7);
  b.state.limit = async () => undefined;
});

const allow = async ({ database }: typeof a, domain: Domain) =>
  await putListing(database, {
    ...{ domain, kind: 'allowed' as const, endpoint: '', note: '', sinceMs: 0 },
  });
const block = async ({ database }: typeof a, domain: Domain) =>
  await putListing(database, {
    ...{ domain, kind: 'blocked' as const, endpoint: '', note: '', sinceMs: 0 },
  });

const find = (userName: string) => FindUserRequest.encode({ userName }).finish();
const groupId = GroupId.of(uuidOf(new Uint8Array(16).fill(3)), B);
const info = (id = groupId) =>
  GetGroupInfoRequest.encode({ groupId: scopedWire(id), earKey: new Uint8Array(32) }).finish();
const PROOF = Uint8Array.of(9, 9, 9);

/** As a service of A asks for it. */
function forward(request: Uint8Array, { destination = B, method = FIND } = {}) {
  const transport = localTransport(a.gateway.bindings, 'ds');
  const client = clientOf(FederationInternalServiceDefinition, transport);
  return client.forward({ destination, method, request, proof: PROOF });
}

const refused = (reason: string, message: unknown = expect.anything()) =>
  expect.objectContaining({ reason, message });

test('a request and its proof get there as they were, in the name of its homeserver', async () => {
  const request = Uint8Array.of(...find('bob@b.example'), 0x78, 1);
  expect(await forward(request)).toEqual({ response: Uint8Array.of(7, 7) });
  expect(b.reached).toMatchObject([
    { service: 'as', call: { path: FIND, request, proof: PROOF, source: A } },
  ]);
  await forward(info(), { method: INFO });
  expect(b.reached[1]).toMatchObject({ service: 'ds', call: { path: INFO, source: A } });
  const between = { source: A, destination: B };
  expect(b.taken.map(({ groupTag }) => groupTag)).toEqual([
    new Uint8Array(0),
    groupTagOf(crypto, { ...between, groupId }),
  ]);
});

test('what a service over there refuses is heard here, as far as it concerns the request', async () => {
  b.state.answer = () => Promise.reject(new Failure('USER_UNKNOWN', 'there is no such user'));
  await expect(forward(find('bob@b.example'))).rejects.toEqual(
    refused('USER_UNKNOWN', 'there is no such user'),
  );
  for (const reason of [
    'TOKEN_REQUIRED',
    'SUSPENDED',
    'CLOCK_SKEW',
    'ALLOWANCE_EXHAUSTED',
  ] as const) {
    b.state.answer = () => Promise.reject(new Failure(reason, 'x', { serverTimeMs: 1n }));
    await expect(forward(find('bob@b.example'))).rejects.toMatchObject({
      ...{ reason: 'UNAVAILABLE', facts: expect.not.objectContaining({ serverTimeMs: 1n }) },
    });
  }
  const facts = { retryAfterMs: 10 * 86_400_000 };
  b.state.limit = () => Promise.reject(new Failure('RATE_LIMITED', 'slowly', facts));
  await expect(forward(find('bob@b.example'))).rejects.toMatchObject({
    ...{ reason: 'RATE_LIMITED', facts: { retryAfterMs: 60_000 } },
  });
});

test('either policy alone keeps them apart, at once, and nobody is even looked for', async () => {
  await block(a, B);
  await expect(forward(find('bob@b.example'))).rejects.toEqual(
    refused('FEDERATION_DENIED', 'a.example does not exchange messages with b.example'),
  );
  await allow(a, B);
  await dropListing(b.database, A);
  await expect(forward(find('bob@b.example'))).rejects.toEqual(
    refused('FEDERATION_DENIED', 'b.example does not exchange messages with a.example'),
  );
  expect(b.reached).toEqual([]);
  const before = a.state.looked;
  await expect(forward(find('x1@c.example'), { destination: C })).rejects.toEqual(
    refused('FEDERATION_DENIED'),
  );
  expect(a.state.looked).toBe(before);
});

test('the gateway signs what it understands, and for where that goes', async () => {
  const wrong: [Parameters<typeof forward>, string][] = [
    [[find('bob@c.example')], 'MALFORMED'],
    [[find('bob')], 'MALFORMED'],
    [[Uint8Array.of(0xff)], 'MALFORMED'],
    [[info(), { method: INFO.replace('GetGroupInfo', 'CreateGroup') }], 'METHOD_UNKNOWN'],
    [[info(), { method: '/roost.federation.v1.PeerService/Deliver' }], 'METHOD_UNKNOWN'],
    [[find('bob@a.example'), { destination: A }], 'FEDERATION_DENIED'],
    [[find('bob@b.example'), { destination: '127.0.0.3' as Domain }], 'MALFORMED'],
    [[find('bob@b.example'), { destination: 'localhost' as Domain }], 'MALFORMED'],
  ];
  for (const [args, reason] of wrong) {
    const said = await forward(...args).catch((error: Failure) => error.reason);
    expect([args[1], said]).toEqual([args[1], reason]);
  }
  expect(b.reached).toEqual([]);
});

interface Said {
  readonly order?: Partial<EnvelopeOrder>;
  readonly key?: OwnKey;
  readonly request?: Uint8Array;
  readonly payload?: Uint8Array;
}

/** As whoever reaches B's listener says it. */
async function say({ order = {}, key, request = info(), payload }: Said): Promise<unknown> {
  const groupTag = groupTagOf(crypto, { source: A, destination: B, groupId });
  const whole = { source: A, destination: B, method: INFO, createdMs: clock.now(), groupTag };
  const messageId = crypto.random(16);
  const carried = encodeCall({ request, proof: PROOF });
  const signer = key ?? a.gateway.keys.signer;
  const envelope = signEnvelope(crypto, signer, { ...whole, messageId, ...order }, carried);
  const client = clientOf(PeerServiceDefinition, localTransport(b.gateway.bindings, 'peer'));
  const answered = await client
    .call({ envelope, payload: payload ?? carried })
    .catch((error: Failure) => error.reason);
  return typeof answered === 'string' ? answered : 'answered';
}

test('what is said rightly is answered, and once more the same', async () => {
  expect(await say({})).toBe('answered');
  const messageId = crypto.random(16);
  expect(await say({ order: { messageId } })).toBe('answered');
  expect(await say({ order: { messageId } })).toBe('answered');
  clock.advance(1);
  expect(await say({ order: { messageId } })).toBe('REPLAY_MISMATCH');
});

test('the spoof matrix: nobody gets in by any of it', async () => {
  const strange = firstKey(crypto, A, clock.now());
  const key = a.gateway.keys.signer;
  const elsewhere = GroupId.of(uuidOf(new Uint8Array(16).fill(4)), B);
  const cases: [string, Said, string][] = [
    ["a key that is not its source's", { key: strange }, 'BAD_ENVELOPE'],
    [
      'another one under its id',
      { key: { ...key, privateKey: strange.privateKey } },
      'BAD_ENVELOPE',
    ],
    ['for C, said to B', { order: { destination: C } }, 'BAD_ENVELOPE'],
    ["in B's own name", { order: { source: B } }, 'BAD_ENVELOPE'],
    ['in the name of a stranger', { order: { source: C } }, 'FEDERATION_DENIED'],
    ['a source in mixed case', { order: { source: 'A.example' as Domain } }, 'BAD_ENVELOPE'],
    ['a source with a trailing dot', { order: { source: 'a.example.' as Domain } }, 'BAD_ENVELOPE'],
    ['a source in Unicode', { order: { source: 'á.example' as Domain } }, 'BAD_ENVELOPE'],
    ['a source with a port', { order: { source: 'a.example:443' as Domain } }, 'BAD_ENVELOPE'],
    ['of yesterday', { order: { createdMs: clock.now() - ENVELOPE_MS - 1 } }, 'CLOCK_SKEW'],
    ['of tomorrow', { order: { createdMs: clock.now() + ENVELOPE_MS + 1 } }, 'CLOCK_SKEW'],
    [
      'another payload',
      { payload: encodeCall({ request: info(), proof: Uint8Array.of(1) }) },
      'BAD_ENVELOPE',
    ],
    [
      'another method',
      {
        order: { method: INFO.replace('GetGroupInfo', 'DeleteGroup'), groupTag: crypto.random(32) },
      },
      'BAD_ENVELOPE',
    ],
    [
      'a method that does not travel',
      { order: { method: FIND.replace('FindUser', 'AckDirect') } },
      'METHOD_UNKNOWN',
    ],
    [
      'a method of the services',
      { order: { method: FIND.replace('Service/FindUser', 'InternalService/GetClient') } },
      'METHOD_UNKNOWN',
    ],
    [
      'a delivery as a call',
      { order: { method: '/roost.federation.v1.PeerService/Deliver' } },
      'METHOD_UNKNOWN',
    ],
    ['another group in the body', { request: info(elsewhere) }, 'BAD_ENVELOPE'],
    ['no group tag', { order: { groupTag: undefined } }, 'BAD_ENVELOPE'],
    [
      'a tag of the other direction',
      { order: { groupTag: groupTagOf(crypto, { source: B, destination: A, groupId }) } },
      'BAD_ENVELOPE',
    ],
    ['a number', { order: { number: { incarnation: 0, n: 1n } } }, 'BAD_ENVELOPE'],
    [
      'a group of A, by way of B',
      { request: info(GroupId.of(groupId.uuid, A)) },
      'FEDERATION_DENIED',
    ],
    [
      'a group of C, by way of B',
      { request: info(GroupId.of(groupId.uuid, C)) },
      'FEDERATION_DENIED',
    ],
    ['no request at all', { request: Uint8Array.of(0xff) }, 'MALFORMED'],
  ];
  for (const [name, said, reason] of cases) {
    expect([name, await say(said)]).toEqual([name, reason]);
  }
  expect(b.reached).toEqual([]);
});

test('nothing is looked for in the name of who is kept out', async () => {
  const before = b.state.looked;
  const key = firstKey(crypto, C, clock.now());
  for (let n = 0; n < 20; n++) {
    expect(await say({ order: { source: C }, key })).toBe('FEDERATION_DENIED');
  }
  expect(b.state.looked).toBe(before);
});
