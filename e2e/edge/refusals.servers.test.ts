// Whoever refuses, a service, the AAS or Envoy by itself: every client reads the same code, message and details.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { OUTSIDE, classOf } from '@roost/e2e/samples';
import { Tokens } from '@roost/e2e/tokens';
import { Witness } from '@roost/e2e/witness';
import { statusOf } from '@roost/rpc/status';
import { toHex } from '@roost/core/bytes';
import { Asker, type Call } from './asking.fixture.ts';
import { BehindEnvoy } from './behind-envoy.fixture.ts';
import { heardByClients } from './clients.fixture.ts';

const COSTLY = '/roost.queue.v1.QueueService/Ack';
const FREE = '/roost.authentication.v1.AuthenticationService/GetHomeserver';

let world: BehindEnvoy;
let tokens: Tokens;
let asker: Asker;

beforeAll(async () => {
  world = await BehindEnvoy.open();
  {
    await using somebody = await Witness.come(world.door, 'wanda');
    tokens = await Tokens.of(somebody, world.door);
    await tokens.draw('general', 100);
  }
  asker = new Asker(world.door);
});
afterAll(async () => {
  asker[Symbol.dispose]();
  await world[Symbol.asyncDispose]();
});

/** As it stands on the wire, and in each client, three times the same. */
async function heard(make: () => Promise<Call> | Call): Promise<string[]> {
  const statuses = [];
  for (const way of ['gRPC', 'gRPC-web over HTTP/2', 'gRPC-web over HTTP/1.1'] as const) {
    const answer = await asker.ask(way, await make());
    expect([way, answer.http, answer.status]).toEqual([way, 200, expect.stringMatching(/^\d+ /)]);
    expect(answer.headers['content-type']).toBe(
      way === 'gRPC' ? 'application/grpc' : 'application/grpc-web+proto',
    );
    statuses.push(answer.status);
  }
  return [...new Set(statuses)];
}

function printed(failure: Failure): string {
  const { code, message, details } = statusOf(failure);
  assert(details !== undefined, 'a refusal has details');
  return `${code} ${message} ${toHex(details)}`;
}

async function expectRefused(call: Call, failure: Failure): Promise<void> {
  expect(await heard(() => call)).toEqual([printed(failure)]);
  const { reason, message, facts } = failure;
  const same = { reason, message, facts };
  expect(await heardByClients(world.door, () => call)).toEqual([same, same, same]);
}

test('no token, a wrong one, a spent one', async () => {
  const spent = await tokens.take('general');
  await asker.ask('gRPC', { path: COSTLY, authorization: spent });
  for (const [authorization, reason] of [
    [undefined, 'TOKEN_REQUIRED'],
    ['PrivateToken token="AAAA"', 'TOKEN_INVALID'],
    [spent, 'TOKEN_SPENT'],
  ] as const) {
    const call = { path: COSTLY, ...(authorization === undefined ? {} : { authorization }) };
    const statuses = await heard(() => call);
    expect(statuses).toHaveLength(1);
    const clients = await heardByClients(world.door, () => call);
    expect(new Set(clients.map((each) => JSON.stringify(each))).size).toBe(1);
    expect(clients[0]?.reason).toBe(reason);
  }
});

test('a method that is not there', async () => {
  const unknown = new Failure('METHOD_UNKNOWN', 'there is no such method');
  await expectRefused({ path: '/roost.nothing.v1.NothingService/Nothing' }, unknown);
  await expectRefused({ path: `${FREE}s` }, unknown);
});

/** One method for each size that requests may have. */
const SIZES = [...Map.groupBy(OUTSIDE, ([, rule]) => rule.requestBytesMax || 65_536)].map(
  ([size, [first]]) => {
    assert(first !== undefined, 'a size has a method');
    return [size, ...first] as const;
  },
);

test.each(SIZES)('more than %d bytes', async (size, path, rule) => {
  const tokenClass = classOf(rule);
  const call = async (length: number) => ({
    path,
    request: new Uint8Array(length),
    ...(tokenClass === undefined ? {} : { authorization: await tokens.take(tokenClass) }),
  });
  const tooLarge = new Failure('TOO_LARGE', `the request is longer than ${size} bytes`);
  expect(await heard(() => call(size + 1))).toEqual([printed(tooLarge)]);
  expect(await heard(() => call(size * 2 + 1_000_000))).toEqual([printed(tooLarge)]);
  const clients = await heardByClients(world.door, async () => await call(size + 1));
  expect(clients.map(({ reason }) => reason)).toEqual(['TOO_LARGE', 'TOO_LARGE', 'TOO_LARGE']);
  // Up to its size it comes to the service, which looks into it.
  const [within] = await heard(() => call(size));
  expect(within).not.toBe(printed(tooLarge));
  expect(world.edge.isRunning).toBe(true);
});

test('the service is away', async () => {
  await world.hide('qs');
  const away = new Failure('UNAVAILABLE', 'the server is not able to answer');
  expect(
    await heard(async () => ({ path: COSTLY, authorization: await tokens.take('general') })),
  ).toEqual([printed(away)]);
  await world.serve('qs');
  await until('OK', async () => {
    const answer = await asker.ask('gRPC', {
      path: COSTLY,
      authorization: await tokens.take('general'),
    });
    return answer.said === 'UNAUTHENTICATED';
  });
});

test('the AAS is away: nothing that costs goes through, nor what could do lasting harm', async () => {
  await world.hide('aas');
  const away = new Failure('UNAVAILABLE', 'the server is not able to answer');
  const authorization = await tokens.take('general').catch(() => '');
  await expectRefused({ path: COSTLY, authorization }, away);
  await expectRefused(
    { path: '/roost.authentication.v1.AuthenticationService/BeginRegistration' },
    away,
  );
  const answers = await asker.all({ path: FREE });
  expect(answers.map(({ said }) => said)).toEqual(['OK', 'OK', 'OK']);
  await world.serve('aas');
  await until('back', async () => {
    const answer = await asker.ask('gRPC', { path: COSTLY });
    return answer.said === 'TOKEN_REQUIRED';
  });
});

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it never was ${what}`);
}
