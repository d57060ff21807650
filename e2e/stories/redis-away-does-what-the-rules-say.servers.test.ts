// Calls that cost no token are counted by address over all edges and all replicas of the AAS, in one Valkey. While that
// is away, each method does what its rule says; nobody hears anything else.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { OUTSIDE } from '@roost/e2e/samples';
import { Envoy } from '@roost/e2e/servers/envoy';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { Valkey } from '@roost/e2e/servers/valkey';
import { Wire } from '@roost/e2e/wire';

const CALLS = 30;
const PASS = '/roost.authentication.v1.AuthenticationService/GetHomeserver';
const FREE = OUTSIDE.filter(([, { token }]) => token === 'TOKEN_CLASS_EXEMPT');
const REFUSED = FREE.filter(([, { limiterAway }]) => limiterAway === 'LIMITER_AWAY_REFUSE');
const COUNTED = /^(RATE_LIMITED|UNAVAILABLE)$/;

let valkey: Valkey;
let home: Homeserver;
let second: Envoy;

beforeAll(async () => {
  valkey = await Valkey.open();
  home = await Homeserver.open({
    ground: { redis: valkey.url },
    envOf: { aas: { ROOST_ADDRESS_CALLS: String(CALLS), ROOST_ADDRESS_CALLS_PER_SECOND: '1' } },
  });
  const at = (service: 'as' | 'aas' | 'qs' | 'ds') =>
    home.of(service).map(({ address }) => address);
  second = await Envoy.open({
    ...{ domain: home.domain, certificates: home.certificates, name: 'another-envoy' },
    services: { as: at('as'), aas: at('aas'), qs: at('qs'), ds: at('ds') },
    env: { ROOST_ADDRESS_CALLS: '100000', ROOST_ADDRESS_CALLS_PER_SECOND: '100000' },
  });
});
afterAll(async () => {
  await second[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
  await valkey[Symbol.asyncDispose]();
});

/** The same call over both edges by turns, in both protocols. */
async function ask(path: string, times = 4): Promise<string[]> {
  const wires = [new Wire(home.door), new Wire(second.door)];
  const answers = Array.from({ length: times }, async (_, at) => {
    const wire = wires[at % 2] ?? new Wire(home.door);
    return at % 4 < 2 ? await wire.grpc({ path }) : await wire.web({ path });
  });
  return (await Promise.all(answers)).map(({ said }) => said);
}

const distinct = (said: readonly string[]): string[] => [...new Set(said)].toSorted();

/** Each replica finds the server by itself: some calls in a row have to reach one that has. */
async function untilCounted(): Promise<void> {
  const [[path] = ['']] = REFUSED;
  for (let waited = 0; waited < 15_000; waited += 100) {
    await valkey.wipe();
    if (!(await ask(path, 16)).includes('UNAVAILABLE')) return;
    await sleep(100);
  }
  throw new Error('nobody counts again');
}

test('there are methods of both kinds', () => {
  expect([FREE.length - REFUSED.length, REFUSED.length].every((count) => count >= 3)).toBe(true);
});

test('two edges and two replicas share the bucket of an address; wiped, it is full again', async () => {
  await valkey.wipe();
  const began = performance.now();
  const said = await ask(PASS, CALLS + 20);
  const refilled = Math.ceil((performance.now() - began) / 1_000);
  expect(distinct(said)).toEqual(['OK', 'RATE_LIMITED']);
  const passed = said.filter((each) => each === 'OK').length;
  expect(passed).toBeGreaterThanOrEqual(CALLS);
  expect(passed).toBeLessThanOrEqual(CALLS + refilled);
  for (const [path] of FREE) expect([path, await ask(path, 1)]).toEqual([path, ['RATE_LIMITED']]);
  await valkey.wipe();
  expect(distinct(await ask(PASS))).toEqual(['OK']);
});

const trouble: [string, () => unknown, () => unknown][] = [
  ['stopped', () => valkey.stop(), () => valkey.start()],
  ['killed', () => valkey.kill(), () => valkey.start()],
  ['frozen', () => valkey.freeze(), () => valkey.thaw()],
];

test.each(trouble)('while it is %s each method does what its rule says', async (_, begin, end) => {
  await begin();
  try {
    for (const [path, { limiterAway }] of FREE) {
      const began = performance.now();
      const said = distinct(await ask(path));
      // Neither waits for a server that does not answer.
      expect([path, performance.now() - began < 5_000]).toEqual([path, true]);
      if (limiterAway === 'LIMITER_AWAY_REFUSE')
        expect([path, said]).toEqual([path, ['UNAVAILABLE']]);
      else
        for (const each of said)
          expect([path, each]).not.toEqual([path, expect.stringMatching(COUNTED)]);
    }
  } finally {
    await end();
  }
  await untilCounted();
  await valkey.wipe();
  for (const [path] of FREE) {
    for (const said of await ask(path, 2))
      expect([path, said]).not.toEqual([path, expect.stringMatching(COUNTED)]);
  }
});
