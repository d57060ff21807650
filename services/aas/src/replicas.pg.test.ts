import { expect, test } from '@jest/globals';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '@roost/core/time';
import { decodeIssuerKeySet } from '@roost/identity/issuer-keys';
import { TestClock } from '@roost/testing/clock';
import { account, batch, draw, reasonOf, runningAas, SEND, signed } from './aas.fixture.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('every replica publishes the same bytes, before, at and after a rotation', async () => {
  await using aas = await runningAas();
  const replicas = [aas, await aas.replica(), await aas.replica()];
  const published = async (): Promise<Set<string>> => {
    const asked = replicas.map(async ({ client }) => await client.getIssuerKeys({}));
    const texts = (await Promise.all(asked)).map(({ keySet, issuer, signature }) =>
      [keySet, issuer, signature].map(hex).join(),
    );
    return new Set(texts);
  };
  const seen = new Set<string>();
  const toRotation = 7 * DAY_MS;
  for (const step of [0, 1, HOUR_MS, toRotation - HOUR_MS - 2, 1, 1, DAY_MS, 10 * MINUTE_MS]) {
    aas.clock.advance(step);
    const sets = await published();
    expect([step, sets.size]).toEqual([step, 1]);
    for (const each of sets) seen.add(each);
  }
  expect(seen.size).toBeGreaterThanOrEqual(5);
  const { keySet } = await aas.client.getIssuerKeys({});
  const states = decodeIssuerKeySet(keySet).keys.map(({ state }) => state);
  expect(states.toSorted()).toEqual(['current', 'current', 'next', 'next']);
});

test('a token of one replica is good at another at once, and once', async () => {
  await using aas = await runningAas();
  const [one, two] = [await aas.replica(), await aas.replica()];
  // Right at a rotation, with keys that only the first of them has made.
  aas.clock.advance(7 * DAY_MS);
  const who = account(aas);
  const drawn = await batch({ ...one, clock: aas.clock }, 'general', 4);
  const { blindSignatures } = await two.client.issueTokens(drawn.request(who, 0), signed(who));
  const headers = drawn.tokens(blindSignatures);
  for (const [at, header] of headers.entries()) {
    const [first, second] = at % 2 === 0 ? [one, two] : [two, one];
    await first.check(SEND, header);
    expect(await reasonOf(second.check(SEND, header))).toBe('TOKEN_SPENT');
  }
});

test('of 200 who race with one token over two replicas, one passes', async () => {
  await using aas = await runningAas();
  const replicas = [await aas.replica(), await aas.replica()];
  const [token = ''] = await draw(aas, 'general', 1);
  const raced = await Promise.all(
    Array.from({ length: 200 }, async (_, at) => {
      const replica = replicas[at % 2] ?? aas;
      return await reasonOf(replica.check(SEND, token));
    }),
  );
  expect(raced.filter((answer) => answer === 'TOKEN_SPENT')).toHaveLength(199);
});

test('a batch is charged once over all replicas: other bytes with its number are refused', async () => {
  await using aas = await runningAas();
  const replicas = [await aas.replica(), await aas.replica()];
  const who = account(aas);
  const batches = await Promise.all([1, 2].map(async () => await batch(aas, 'general', 50)));
  const asked = await Promise.all(
    Array.from({ length: 16 }, async (_, at) => {
      const [mine, replica] = [batches[(at >> 1) % 2], replicas[at % 2]];
      if (mine === undefined || replica === undefined) throw new Error('there are two of each');
      const answer = replica.client.issueTokens(mine.request(who, 0), signed(who));
      return { bytes: at % 4 < 2 ? 'these' : 'those', heard: await reasonOf(answer) };
    }),
  );
  const refused = asked.filter(({ heard }) => heard === 'BATCH_USED');
  expect(refused).toHaveLength(8);
  expect(new Set(refused.map(({ bytes }) => bytes)).size).toBe(1);
  const answered = asked.filter(({ heard }) => heard !== 'BATCH_USED');
  expect(new Set(answered.map(({ heard }) => JSON.stringify(heard))).size).toBe(1);
  expect(answered[0]?.heard).toMatchObject({ remaining: 250 });
});

test('an allowance is one, however many replicas draw from it', async () => {
  await using aas = await runningAas();
  const replicas = [await aas.replica(), await aas.replica()];
  const who = account(aas);
  const drawn = await batch(aas, 'general', 50);
  const asked = await Promise.all(
    Array.from({ length: 12 }, async (_, at) => {
      const replica = replicas[at % 2] ?? aas;
      const request = drawn.request(who, at);
      return await reasonOf(replica.client.issueTokens(request, signed(who)));
    }),
  );
  expect(asked.filter((heard) => heard === 'ALLOWANCE_EXHAUSTED')).toHaveLength(6);
});

test('a retired key ends everywhere, also where a clock is behind', async () => {
  await using aas = await runningAas();
  const behind = new TestClock(aas.clock.now() - MINUTE_MS);
  const late = await aas.replica({ clock: behind });
  const [first = '', second = ''] = await draw(aas, 'general', 2);
  for (const clock of [aas.clock, behind]) clock.advance(8 * DAY_MS);
  // The first replica says that the key has ended, the other one that it is good for a minute more.
  expect(await reasonOf(aas.check(SEND, first))).toBe('TOKEN_INVALID');
  await aas.client.getIssuerKeys({});
  await late.check(SEND, first);
  expect(await reasonOf(late.check(SEND, first))).toBe('TOKEN_SPENT');
  behind.advance(MINUTE_MS);
  expect(await reasonOf(late.check(SEND, second))).toBe('TOKEN_INVALID');
});

test('a key issues and redeems where its window has not begun by another clock', async () => {
  await using aas = await runningAas();
  const behind = new TestClock(aas.clock.now() - MINUTE_MS / 2);
  const late = await aas.replica({ clock: behind });
  for (const clock of [aas.clock, behind]) clock.advance(7 * DAY_MS);
  const who = account(aas);
  const drawn = await batch(aas, 'general', 2);
  const answer = await late.client.issueTokens(drawn.request(who, 0), signed(who));
  const [token = ''] = drawn.tokens(answer.blindSignatures);
  await late.check(SEND, token);
  expect(await reasonOf(aas.check(SEND, token))).toBe('TOKEN_SPENT');
});
