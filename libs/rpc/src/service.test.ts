import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { ClientId, parseDomain, UserId, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { makeProof, type ProofKey } from '@roost/identity/proof';
import { Any } from '@roost/proto/google/protobuf/any';
import { Caller, LimiterAway, type Rule, TokenClass } from '@roost/proto/roost/access/v1/access';

import { clientOf, type Transport } from './call.ts';
import { EchoDefinition, echoBinding, home, optionsOf, stoppedClock } from './echo.fixture.ts';
import { localClient } from './local.ts';
import { bind, type Incoming, type KeyOf, type VerifiedProof } from './service.ts';

const pair = crypto.ed25519.generate();
const stranger = crypto.ed25519.generate();
const id = ClientId.of(UserId.of(uuidOf(crypto.random(16)), home), uuidOf(crypto.random(16)));
const clientKey: ProofKey = { kind: 'client', client: id };
const leafKey: ProofKey = { kind: 'leaf', publicKey: pair.publicKey };
const hello = { typeUrl: 'hello', value: Uint8Array.of(1, 2, 3) };
const request = Any.encode(hello).finish();
const keyOf: KeyOf = async ({ client }) => (client === undefined ? undefined : pair.publicKey);

function setUp() {
  const clock = stoppedClock();
  const proofs: (VerifiedProof | undefined)[] = [];
  const keep = async (message: Any, { proof }: { proof: VerifiedProof | undefined }) => {
    proofs.push(proof);
    return message;
  };
  const handlers = { open: keep, client: keep, leaf: keep, newKey: keep };
  const binding = echoBinding(handlers, { clock, keyOf });
  const answer = async (name: string, call: Partial<Incoming>) => {
    const method = binding.methods.get(`/roost.echo.v1.EchoService/${name}`);
    if (method?.kind !== 'unary') throw new Error('no such method');
    const whole = { request, proof: undefined, caller: 'edge', ...call };
    return method.answer({ signal: new AbortController().signal, ...whole });
  };
  const proofFor = (
    { name = 'Client', key = clientKey, by = pair, audience = home, over = request } = {},
    createdMs = clock.nowMs,
  ) => {
    const method = `/roost.echo.v1.EchoService/${name}`;
    const signer = { key, privateKey: by.privateKey };
    return makeProof(crypto, signer, { method, audience, request: over }, createdMs);
  };
  return { binding, clock, proofs, answer, proofFor };
}

function refused(reason: string) {
  return expect.objectContaining({ name: 'Failure', reason });
}

test('a signed request reaches its handler, which hears who signed', async () => {
  const { answer, proofFor, proofs, clock } = setUp();
  await answer('Client', { proof: proofFor() });
  await answer('Leaf', { proof: proofFor({ name: 'Leaf', key: leafKey }) });
  expect(proofs).toMatchObject([
    { kind: 'client', client: id, publicKey: pair.publicKey, createdMs: clock.nowMs },
    { kind: 'leaf', publicKey: pair.publicKey },
  ]);
  expect(proofs[0]?.nonce).toHaveLength(16);
});

test.each(['Client', 'Leaf', 'NewKey'])('%s does not answer without a proof', async (name) => {
  const { answer, proofs } = setUp();
  await expect(answer(name, {})).rejects.toEqual(refused('UNAUTHENTICATED'));
  expect(proofs).toEqual([]);
});

test('a proof for another method, audience, request or by another key is refused', async () => {
  const { answer, proofFor, proofs } = setUp();
  const wrong = [
    { name: 'Leaf' },
    { audience: parseDomain('other.example') },
    { over: Uint8Array.of(0) },
    { by: stranger },
  ];
  for (const each of wrong) {
    await expect(answer('Client', { proof: proofFor(each) })).rejects.toEqual(
      refused('UNAUTHENTICATED'),
    );
  }
  expect(proofs).toEqual([]);
});

test('a proof of another kind than the rule asks for is refused, though it holds', async () => {
  const { answer, proofFor } = setUp();
  const proof = proofFor({ key: leafKey });
  await expect(answer('Client', { proof })).rejects.toEqual(refused('UNAUTHENTICATED'));
});

test('an old proof hears the time, also where nobody knows its key', async () => {
  const { answer, proofFor, clock } = setUp();
  const proof = proofFor({}, clock.nowMs - 121_000);
  await expect(answer('Client', { proof })).rejects.toMatchObject({
    reason: 'CLOCK_SKEW',
    facts: { serverTimeMs: BigInt(clock.nowMs) },
  });
});

test('an unknown signer hears the same as a wrong signature', async () => {
  const { answer, proofFor } = setUp();
  const nobody = echoBinding({}, { keyOf: async () => undefined });
  const method = nobody.methods.get('/roost.echo.v1.EchoService/Client');
  if (method?.kind !== 'unary') throw new Error('no such method');
  const signal = new AbortController().signal;
  const unknown = method.answer({ request, proof: proofFor(), caller: 'edge', signal });
  const wrong = answer('Client', { proof: proofFor({ by: stranger }) });
  const [a, b] = await Promise.allSettled([unknown, wrong]);
  expect(a).toEqual(b);
  expect(a).toMatchObject({ status: 'rejected', reason: { reason: 'UNAUTHENTICATED' } });
});

test('a malformed proof is refused everywhere, a needless one is not looked at', async () => {
  const { answer, proofFor, proofs } = setUp();
  const proof = Uint8Array.of(1, 2, 3);
  await expect(answer('Open', { proof })).rejects.toEqual(refused('MALFORMED'));
  await expect(answer('Client', { proof })).rejects.toEqual(refused('MALFORMED'));
  await answer('Open', { proof: proofFor({ name: 'Open' }) });
  expect(proofs).toEqual([undefined]);
});

test('a service calls what its rule names, and nothing else', async () => {
  const { binding } = setUp();
  const friend = localClient(EchoDefinition, binding, 'friend');
  expect(await friend.service(hello)).toEqual(hello);
  await expect(friend.open(hello)).rejects.toEqual(refused('METHOD_UNKNOWN'));
  await expect(friend.operator(hello)).rejects.toEqual(refused('METHOD_UNKNOWN'));
  const other = localClient(EchoDefinition, binding, 'other');
  await expect(other.service(hello)).rejects.toEqual(refused('METHOD_UNKNOWN'));
});

test('a local call hears refusals and errors as over the wire', async () => {
  const failing = echoBinding({
    service: async ({ typeUrl }) => {
      throw typeUrl === 'refuse' ? new Failure('QUEUE_FULL', 'full') : new TypeError('a bug');
    },
  });
  const friend = localClient(EchoDefinition, failing, 'friend');
  await expect(friend.service({ ...hello, typeUrl: 'refuse' })).rejects.toEqual(
    refused('QUEUE_FULL'),
  );
  await expect(friend.service(hello)).rejects.toMatchObject({
    message: 'internal error',
    cause: expect.objectContaining({ message: 'a bug' }),
  });
});

test('a local call ends at its deadline', async () => {
  const slow = echoBinding({ service: async () => new Promise(() => {}) });
  const friend = localClient(EchoDefinition, slow, 'friend');
  await expect(friend.service(hello, { deadlineMs: 20 })).rejects.toEqual(refused('UNAVAILABLE'));
});

test('a method without a rule, a handler or a finder of keys does not start', () => {
  const { open, client } = EchoDefinition.methods;
  const options = { audience: home, clock: stoppedClock(), crypto };
  const echo = async (message: Any) => message;
  const start = (methods: Record<string, typeof open | typeof client>, handlers: object) =>
    bind({ ...EchoDefinition, methods }, handlers as Record<string, never>, options);

  expect(() => start({ open }, { open: echo })).not.toThrow();
  const bare = { ...open, options: {} };
  expect(() => bind({ ...EchoDefinition, methods: { bare } }, { bare: echo }, options)).toThrow(
    'has an access rule',
  );
  expect(() => start({ open }, {})).toThrow('has a handler');
  const careless: Partial<Rule>[] = [
    { limiterAway: LimiterAway.UNSPECIFIED },
    { token: TokenClass.GENERAL, limiterAway: LimiterAway.PASS },
    { caller: Caller.OPERATOR, limiterAway: LimiterAway.REFUSE },
  ];
  for (const rule of careless) {
    const method = { ...open, options: optionsOf(rule) };
    expect(() => start({ open: method }, { open: echo })).toThrow('while the limiter is away');
  }
  expect(() => start({ client }, { client: echo })).toThrow('somebody finds the key');
});

test('a client signs the very bytes that it sends', async () => {
  const { answer, clock, proofs } = setUp();
  const wire: Transport = {
    unary: async (call) => {
      expect(call.request).toEqual(request);
      return answer('Client', { request: call.request, proof: call.proof ?? Uint8Array.of() });
    },
    stream: async function* () {},
  };
  const client = clientOf(EchoDefinition, wire, { crypto, clock, audience: home });
  const sign = { key: clientKey, privateKey: pair.privateKey };
  expect(await client.client(hello, { sign })).toEqual(hello);
  expect(proofs).toHaveLength(1);
});
