// What costs no token is counted by address: by each edge itself, and over all edges by the AAS. What costs one is
// paid once, whichever edge is asked.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Tokens } from '@roost/e2e/tokens';
import { Witness } from '@roost/e2e/witness';
import { tooManyCalls } from '@roost/rpc/address-limit';
import { statusOf } from '@roost/rpc/status';
import { Asker, WAYS } from './asking.fixture.ts';
import { BehindEnvoy } from './behind-envoy.fixture.ts';
import { heardByClients } from './clients.fixture.ts';

const COSTLY = '/roost.queue.v1.QueueService/Ack';
const FREE = '/roost.authentication.v1.AuthenticationService/GetHomeserver';
const BEGIN = '/roost.authentication.v1.AuthenticationService/BeginRegistration';
const HEALTH = '/grpc.health.v1.Health/Check';
const OVER_ALL = 60;
const HERE = 100;

let world: BehindEnvoy;
let askers: readonly Asker[];
let tokens: Tokens;

beforeAll(async () => {
  world = await BehindEnvoy.open({
    edges: 2,
    exemptBucket: { capacity: OVER_ALL, refillPerSecond: 0.001 },
    env: { ROOST_ADDRESS_CALLS: String(HERE), ROOST_ADDRESS_CALLS_PER_SECOND: '1' },
  });
  {
    await using somebody = await Witness.come(world.door, 'wanda');
    tokens = await Tokens.of(somebody, world.door);
    await tokens.draw('general', 50);
  }
  askers = world.edges.map(({ door }) => new Asker(door));
});
afterAll(async () => {
  for (const asker of askers) asker[Symbol.dispose]();
  await world[Symbol.asyncDispose]();
});

test('a token is good at one edge once, even when both are asked at the same time', async () => {
  for (let round = 0; round < 10; round++) {
    const authorization = await tokens.take('general');
    const heard = await Promise.all(
      askers.flatMap((asker) => WAYS.map((way) => asker.ask(way, { path: COSTLY, authorization }))),
    );
    const said = heard.map((each) => each.said).toSorted();
    // The service asks for a signature: whoever heard so had come through.
    expect(said).toEqual([...Array.from({ length: 5 }, () => 'TOKEN_SPENT'), 'UNAUTHENTICATED']);
  }
});

test('an address has one bucket over all edges, and hears the same wherever it is empty', async () => {
  const heard = [];
  for (let at = 0; at < OVER_ALL + 5; at++) {
    const way = WAYS[at % WAYS.length] ?? 'gRPC';
    heard.push(await askers[at % 2]?.ask(way, { path: FREE }));
  }
  const allowed = heard.filter((each) => each?.said === 'OK').length;
  expect(allowed).toBeGreaterThan(10);
  // Registration and the tokens came out of the same bucket.
  expect(allowed).toBeLessThan(OVER_ALL);
  const refused = heard.slice(allowed);
  expect(new Set(refused.map((each) => each?.said))).toEqual(new Set(['RATE_LIMITED']));
  const clients = await heardByClients(world.door, () => ({ path: BEGIN }));
  for (const { reason, message, facts } of clients) {
    expect([reason, message]).toEqual(['RATE_LIMITED', 'too many calls from this address']);
    expect((facts as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(1_000);
  }
});

test('an edge stops a flood by itself, before it asks anybody', async () => {
  const [asker] = askers;
  for (let at = 0; at < HERE + 20; at++) await asker?.ask('gRPC', { path: FREE });
  const before = await world.edge.stats(/^cluster\.gate\.upstream_rq_total$/);
  const { code, message, details } = statusOf(tooManyCalls(1_000));
  for (const path of [FREE, HEALTH]) {
    const answers = (await asker?.all({ path })) ?? [];
    expect(new Set(answers.map(({ status }) => status))).toEqual(
      new Set([`${code} ${message} ${Buffer.from(details ?? []).toString('hex')}`]),
    );
    expect(answers.map(({ http }) => http)).toEqual([200, 200, 200]);
  }
  expect(await world.edge.stats(/^cluster\.gate\.upstream_rq_total$/)).toEqual(before);
  // What costs a token is not counted by address.
  expect((await asker?.ask('gRPC', { path: COSTLY }))?.said).toBe('TOKEN_REQUIRED');
});
