import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { AuthorizationDefinition } from '@roost/proto/envoy/service/auth/v3/external_auth';
import { RateLimitServiceDefinition } from '@roost/proto/envoy/service/ratelimit/v3/rls';
import { clientOf } from '@roost/rpc/call';
import { trailersOf } from '@roost/rpc/frames';
import { localTransport } from '@roost/rpc/local';
import { statusOf } from '@roost/rpc/status';
import { type Aas, draw, FIND, runningAas, SEND } from '../aas.fixture.ts';

const BEGIN = '/roost.authentication.v1.AuthenticationService/BeginRegistration';
const KEYS = '/roost.tokens.v1.TokenService/GetIssuerKeys';

function envoyOf({ service }: Pick<Aas, 'service'>) {
  const transport = localTransport(service.bindings, 'gate');
  const authorization = clientOf(AuthorizationDefinition, transport);
  const limits = clientOf(RateLimitServiceDefinition, transport);
  return {
    check: async (path: string, headers: Record<string, string>, signal?: AbortSignal) => {
      const attributes = { request: { http: { path, headers } } };
      const answer = await authorization.check({ attributes }, { signal });
      return answer;
    },
    count: async (path: string, address: string) => {
      const entries = [
        { key: 'path', value: path },
        { key: 'masked_remote_address', value: address },
      ];
      const request = { domain: 'roost', descriptors: [{ entries }], hitsAddend: 0 };
      return await limits.shouldRateLimit(request);
    },
  };
}

/** What Envoy is to answer, as the headers of a refusal by the service itself. */
function deniedAs(failure: Failure) {
  const headers = Object.entries(trailersOf(statusOf(failure)));
  return {
    $case: 'deniedResponse',
    value: {
      status: { code: 200 },
      headers: headers.map(([key, value]) => ({ header: { key, value }, appendAction: 2 })),
      body: '',
    },
  };
}

test('a call that paid passes with the class of its token, which goes no further', async () => {
  await using aas = await runningAas();
  const envoy = envoyOf(aas);
  for (const [path, tokenClass] of [
    [SEND, 'general'],
    [FIND, 'contact'],
  ] as const) {
    const [authorization = ''] = await draw(aas, tokenClass, 1);
    const forged = { authorization, 'roost-token-class': 'general', cookie: 'x' };
    expect(await envoy.check(path, forged)).toEqual({
      status: { code: 0, message: '', details: [] },
      httpResponse: {
        $case: 'okResponse',
        value: {
          headers: [{ header: { key: 'roost-token-class', value: tokenClass }, appendAction: 2 }],
          headersToRemove: ['authorization'],
        },
      },
    });
    const spent = new Failure('TOKEN_SPENT', 'this token was spent before');
    expect((await envoy.check(path, { authorization })).httpResponse).toEqual(deniedAs(spent));
  }
});

test('an exempt call passes without a class, also where it brings one', async () => {
  await using aas = await runningAas();
  const { httpResponse } = await envoyOf(aas).check(BEGIN, { 'roost-token-class': 'general' });
  expect(httpResponse).toEqual({
    $case: 'okResponse',
    value: { headers: [], headersToRemove: ['authorization', 'roost-token-class'] },
  });
});

test('a refusal is an answer of HTTP 200 with the status that the service would have sent', async () => {
  await using aas = await runningAas();
  const envoy = envoyOf(aas);
  const required = new Failure('TOKEN_REQUIRED', 'this method costs a token of the class general');
  expect((await envoy.check(SEND, {})).httpResponse).toEqual(deniedAs(required));
  const invalid = new Failure('TOKEN_INVALID', 'authorization: is not a token');
  const bearer = await envoy.check(SEND, { authorization: 'Bearer x' });
  expect(bearer.httpResponse).toEqual(deniedAs(invalid));
  expect(bearer.status?.code).toBe(16);
  const unknown = new Failure('METHOD_UNKNOWN', 'there is no such method');
  const inside = '/roost.tokens.v1.TokenInternalService/CheckToken';
  for (const path of [inside, `${SEND}?a`, `${SEND}/`, `/${SEND}`, SEND.toLowerCase(), '', '/']) {
    expect([path, (await envoy.check(path, {})).httpResponse]).toEqual([path, deniedAs(unknown)]);
  }
  // A question without a path is none that could be allowed.
  const { check } = clientOf(AuthorizationDefinition, localTransport(aas.service.bindings, 'gate'));
  const nothing = await check({ attributes: undefined });
  expect(nothing.httpResponse).toEqual(deniedAs(unknown));
});

test('only the gate may ask', async () => {
  await using aas = await runningAas();
  for (const who of ['edge', 'operator', 'as', 'ds']) {
    const transport = localTransport(aas.service.bindings, who);
    const asked = [
      clientOf(AuthorizationDefinition, transport).check({ attributes: undefined }),
      clientOf(RateLimitServiceDefinition, transport).shouldRateLimit({
        ...{ domain: 'roost', descriptors: [], hitsAddend: 0 },
      }),
    ];
    for (const each of asked) {
      await expect(each).rejects.toMatchObject({ reason: 'METHOD_UNKNOWN' });
    }
  }
});

test('addresses are counted over all edges, with the status that one process would send', async () => {
  const exemptBucket = { capacity: 2, refillPerSecond: 0.5 };
  await using aas = await runningAas({ exemptBucket });
  const envoy = envoyOf(aas);
  const ok = { overallCode: 1, responseHeadersToAdd: [] };
  expect(await envoy.count(BEGIN, '2001:db8:1:2::/64')).toEqual(ok);
  expect(await envoy.count(KEYS, '2001:db8:1:2:0:0:0:0/64')).toEqual(ok);
  const limited = new Failure('RATE_LIMITED', 'too many calls from this address', {
    retryAfterMs: 2_000,
  });
  const headers = Object.entries(trailersOf(statusOf(limited)));
  expect(await envoy.count(KEYS, '2001:db8:1:2::/64')).toEqual({
    overallCode: 2,
    responseHeadersToAdd: headers.map(([key, value]) => ({ key, value })),
  });
  expect(await envoy.count(KEYS, '192.0.2.1/32')).toEqual(ok);
});

test('while the limiter is away the rule decides; a question that makes no sense is an error', async () => {
  await using aas = await runningAas();
  const limiter = { take: async () => ({ ok: false, isAway: true }) as const };
  const another = await aas.open({ limiter });
  const envoy = envoyOf({ service: another });
  expect((await envoy.count(KEYS, '192.0.2.1/32')).overallCode).toBe(1);
  const refused = await envoy.count(BEGIN, '192.0.2.1/32');
  expect(refused.overallCode).toBe(2);
  expect(refused.responseHeadersToAdd[0]).toEqual({ key: 'grpc-status', value: '14' });
  for (const [path, address] of [
    [`${KEYS}/`, '192.0.2.1/32'],
    [KEYS, ''],
  ] as const) {
    await expect(envoy.count(path, address)).rejects.toMatchObject({ reason: 'MALFORMED' });
  }
  await another.close();
});
