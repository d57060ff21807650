import { expect, test } from '@jest/globals';
import { Failure, type Reason, REASONS } from '@roost/core/failure';
import { GroupId, parseDomain, scopedWire, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { makeProof } from '@roost/identity/proof';
import { Any } from '@roost/proto/google/protobuf/any';
import { Caller } from '@roost/proto/roost/access/v1/access';
import { FindUserRequest } from '@roost/proto/roost/authentication/v1/authentication';
import { GetGroupInfoRequest } from '@roost/proto/roost/delivery/v1/delivery';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { ClaimAddPackagesRequest } from '@roost/proto/roost/queue/v1/queue';

import { clientOf } from './call.ts';
import { type ForwardedCall, forwardBy } from './destination.ts';
import { home, optionsOf, stoppedClock } from './echo.fixture.ts';
import { localClient, localTransport } from './local.ts';
import { bind, type BindOptions, type CallContext, type Incoming } from './service.ts';

const peer = parseDomain('peer.example');
const third = parseDomain('third.example');
const leaf = crypto.ed25519.generate();

const travels = (destination: string, caller: Caller = Caller.ANYONE) =>
  ({
    ...{ requestStream: false, responseType: Any, responseStream: false },
    options: optionsOf({ federated: true, destination, caller }),
  }) as const;
const Definition = {
  name: 'TravelService',
  fullName: 'roost.travel.v1.TravelService',
  methods: {
    byName: { name: 'ByName', requestType: FindUserRequest, ...travels('user_name') },
    byDomain: {
      ...{ name: 'ByDomain', requestType: ClaimAddPackagesRequest },
      ...travels('owner_domain'),
    },
    byGroup: {
      ...{ name: 'ByGroup', requestType: GetGroupInfoRequest },
      ...travels('group_id', Caller.GROUP_MEMBER),
    },
  },
} as const;

function setUp(options: Partial<BindOptions> = {}) {
  const [forwarded, handled]: [ForwardedCall[], CallContext[]] = [[], []];
  const handler = async (_: unknown, context: CallContext) => {
    handled.push(context);
    return { typeUrl: 'here', value: new Uint8Array(0) };
  };
  const forward = async (call: ForwardedCall) => {
    forwarded.push(call);
    return Any.encode({ typeUrl: 'there', value: new Uint8Array(0) }).finish();
  };
  const binding = bind(
    Definition,
    { byName: handler, byDomain: handler, byGroup: handler },
    { audience: home, clock: stoppedClock(), crypto, forward, ...options },
  );
  const answer = async (name: string, request: Uint8Array, call: Partial<Incoming> = {}) => {
    const method = binding.methods.get(`/roost.travel.v1.TravelService/${name}`);
    if (method?.kind !== 'unary') throw new Error('no such method');
    const { signal } = new AbortController();
    const whole = { request, proof: undefined, caller: 'edge', signal, ...call };
    return Any.decode(await method.answer(whole)).typeUrl;
  };
  return { binding, answer, forwarded, handled };
}

const find = (userName: string) => FindUserRequest.encode({ userName }).finish();
const claim = (ownerDomain: string) =>
  ClaimAddPackagesRequest.encode({
    ...{ claimId: new Uint8Array(16), friendshipToken: new Uint8Array(32) },
    ...{ ownerDomain, groupId: undefined },
  }).finish();
const info = (domain: string) => {
  const groupId = { ...scopedWire(GroupId.of(uuidOf(new Uint8Array(16)), home)), domain };
  return GetGroupInfoRequest.encode({ groupId, earKey: new Uint8Array(32) }).finish();
};
const refused = (reason: string) => expect.objectContaining({ reason });

function proofOf(request: Uint8Array, audience = peer, by = leaf) {
  const signer = {
    key: { kind: 'leaf' as const, publicKey: leaf.publicKey },
    privateKey: by.privateKey,
  };
  const method = '/roost.travel.v1.TravelService/ByGroup';
  return makeProof(crypto, signer, { method, audience, request }, stoppedClock().now());
}

test('a request goes to the homeserver that it names, and its bytes are not touched', async () => {
  const { answer, forwarded, handled } = setUp();
  // A field that nobody here knows is a part of what was signed.
  const request = Uint8Array.of(...info(peer), 0x78, 1);
  const proof = proofOf(request);
  expect(await answer('ByGroup', request, { proof, deadlineMs: 5_000 })).toBe('there');
  expect(forwarded).toMatchObject([
    {
      ...{ destination: peer, method: '/roost.travel.v1.TravelService/ByGroup' },
      ...{ request, proof, deadlineMs: 5_000 },
    },
  ]);
  expect(handled).toEqual([]);
});

test.each([
  ['ByName', find('alice@peer.example')],
  ['ByName', find(' Alice@PEER.example ')],
  ['ByDomain', claim(peer)],
])('%s goes there too', async (name, request) => {
  const { answer, forwarded } = setUp();
  expect(await answer(name, request)).toBe('there');
  expect(forwarded.map(({ destination }) => destination)).toEqual([peer]);
});

test.each([
  ['ByName', find('alice')],
  ['ByName', find('alice@roost.example')],
  ['ByName', find('')],
  ['ByDomain', claim(home)],
  ['ByDomain', claim('')],
])('%s stays here where it names us or nobody', async (name, request) => {
  const { answer, forwarded, handled } = setUp();
  expect(await answer(name, request)).toBe('here');
  expect([forwarded, handled.map(({ source }) => source)]).toEqual([[], [undefined]]);
});

test.each([
  ['ByName', find('alice@peer.example.')],
  ['ByName', find('alice@peer.example@roost.example')],
  ['ByDomain', claim('Peer.example')],
  ['ByDomain', claim('peer.example:443')],
  ['ByDomain', claim('127.0.0.1')],
  ['ByGroup', info('PEER.example')],
  ['ByGroup', info('')],
])('%s to what is no domain goes nowhere', async (name, request) => {
  const { answer, forwarded, handled } = setUp();
  const proof = name === 'ByGroup' ? proofOf(request) : undefined;
  await expect(answer(name, request, { proof })).rejects.toEqual(refused('MALFORMED'));
  expect([forwarded, handled]).toEqual([[], []]);
});

test('nobody carries a request whose proof does not hold for where it goes', async () => {
  const { answer, forwarded } = setUp();
  const request = info(peer);
  const wrong = [
    undefined,
    proofOf(request, home),
    proofOf(info(third)),
    proofOf(request, peer, crypto.ed25519.generate()),
  ];
  for (const proof of wrong) {
    await expect(answer('ByGroup', request, { proof })).rejects.toEqual(refused('UNAUTHENTICATED'));
  }
  expect(forwarded).toEqual([]);
});

test('what another homeserver brings is for us or is refused: nobody asks others by way of us', async () => {
  const { answer, forwarded, handled } = setUp();
  const by = { caller: 'federation-gateway', source: peer };
  expect(await answer('ByDomain', claim(home), by)).toBe('here');
  expect(handled.map(({ source, caller }) => [source, caller])).toEqual([[peer, by.caller]]);
  for (const domain of [third, peer]) {
    await expect(answer('ByDomain', claim(domain), by)).rejects.toEqual(
      refused('FEDERATION_DENIED'),
    );
  }
  await expect(answer('ByDomain', claim(home), { caller: by.caller })).rejects.toEqual(
    refused('UNAUTHENTICATED'),
  );
  expect(forwarded).toEqual([]);
});

test('who is not the gateway is heard about no source', async () => {
  const { answer, handled } = setUp();
  await answer('ByDomain', claim(home), { source: peer });
  expect(handled.map(({ source }) => source)).toEqual([undefined]);
});

test('a homeserver without a gateway says so', async () => {
  const { answer } = setUp({ forward: undefined });
  await expect(answer('ByName', find('a1@peer.example'))).rejects.toThrow(
    'federation is not configured: this homeserver does not reach peer.example',
  );
});

test('the gateway is asked with a little less time than there is, and with no time not at all', async () => {
  const asked: { deadline: number | undefined; call: unknown }[] = [];
  const binding = bind(
    FederationInternalServiceDefinition,
    {
      forward: async (call) => {
        asked.push({ deadline: undefined, call });
        return { response: Uint8Array.of(7) };
      },
    },
    { audience: home, clock: stoppedClock(), crypto },
  );
  const gateway = localClient(FederationInternalServiceDefinition, binding, 'ds');
  const spied = {
    forward: async (...[request, options]: Parameters<typeof gateway.forward>) => {
      const answered = await gateway.forward(request, options);
      asked.push({ deadline: options?.deadlineMs, call: undefined });
      return answered;
    },
  };
  const { signal } = new AbortController();
  const call = { destination: peer, method: '/a.B/C', request: Uint8Array.of(1), signal };
  const forward = forwardBy(spied);
  for (const deadlineMs of [undefined, 60_000, 5_000]) {
    expect(await forward({ ...call, proof: undefined, deadlineMs })).toEqual(Uint8Array.of(7));
  }
  expect(asked.flatMap(({ deadline }) => deadline ?? [])).toEqual([20_000, 20_000, 4_000]);
  await expect(forward({ ...call, proof: undefined, deadlineMs: 900 })).rejects.toEqual(
    refused('PEER_UNAVAILABLE'),
  );
  expect(asked).toHaveLength(6);
});

test('that another homeserver is away is told as that: ours is there', async () => {
  const { signal } = new AbortController();
  const call = { destination: peer, method: '/a.B/C', request: Uint8Array.of(1), signal };
  const heard = async (reason: Reason) =>
    await forwardBy({
      forward: () => Promise.reject(new Failure(reason, 'no answer', { retryAfterMs: 7 })),
    })({ ...call, proof: undefined, deadlineMs: undefined });
  await expect(heard('UNAVAILABLE')).rejects.toMatchObject({
    ...{ reason: 'PEER_UNAVAILABLE', facts: { retryAfterMs: 7, peer } },
    message: 'peer.example cannot be reached now: no answer',
  });
  await expect(heard('GROUP_UNKNOWN')).rejects.toEqual(refused('GROUP_UNKNOWN'));
  // A proxy that hears this of us as UNAVAILABLE would take us for broken.
  expect(REASONS.PEER_UNAVAILABLE).toBe('FAILED_PRECONDITION');
});

test('a client signs for the homeserver that its request names, and asks its own', async () => {
  const { binding, forwarded, handled } = setUp();
  const transport = localTransport([binding], 'edge');
  const clock = stoppedClock();
  const client = clientOf(Definition, transport, { crypto, clock, audience: home });
  const { publicKey, privateKey } = leaf;
  const sign = { key: { kind: 'leaf' as const, publicKey }, privateKey };
  const ask = async (hub: typeof home) => {
    const groupId = scopedWire(GroupId.of(uuidOf(crypto.random(16)), hub));
    await client.byGroup({ groupId, earKey: crypto.random(32) }, { sign });
  };
  await ask(home);
  await ask(peer);
  expect(handled).toHaveLength(1);
  expect(forwarded).toMatchObject([{ destination: peer }]);

  const [call] = forwarded;
  const there = setUp({ audience: peer });
  const proof = call?.proof;
  const incoming = { caller: 'federation-gateway', source: home, proof } as const;
  await there.answer('ByGroup', call?.request ?? new Uint8Array(0), incoming);
  expect(there.handled).toMatchObject([{ source: home }]);
});
