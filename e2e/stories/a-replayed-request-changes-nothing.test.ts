// Invariant 6: a signed request that is replayed, moved to another method, or older than the window
// changes nothing. Everything that three clients called in a whole story is called again, byte for
// byte, with fresh tokens, and what all services keep is compared.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { equal } from '@roost/core/bytes';
import { scopedWire } from '@roost/core/ids';
import { MINUTE_MS, sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { servicesOf } from '@roost/client/calls';
import { doRoomChores, idSigners } from '@roost/e2e/chores';
import { dumpAll } from '@roost/e2e/dump';
import type { Recorded } from '@roost/e2e/recorder';
import { tell } from '@roost/e2e/story';
import type { Tokens } from '@roost/e2e/tokens';
import { type Heard, Wire } from '@roost/e2e/wire';
import type { Witness } from '@roost/e2e/witness';
import { CommitResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { IssueTokensResponse } from '@roost/proto/roost/tokens/v1/tokens';
import { AllInOne } from '@roost/e2e/all-in-one';

interface Rule {
  readonly token: string;
  readonly caller: string;
}

const RULES = JSON.parse(
  readFileSync(new URL('../../proto/gen/rules.json', import.meta.url), 'utf8'),
) as Record<string, Rule>;
/** What these answer may be another thing the next time; they are called for what they do. */
const READS = /\/(Get\w+|Find\w+|Dequeue\w*|Listen\w*)$/;

let offsetMs = 0;
const clock = { now: () => systemClock.now() + offsetMs };
let world: AllInOne;
let calls: readonly Recorded[];
let tokens: Tokens;
let wire: Wire;

beforeAll(async () => {
  world = await AllInOne.open({ clock });
  const { people, ...story } = await tell(world, 'again', clock);
  tokens = story.tokens;
  await doRoomChores(world, { people, ...story });
  await forget(people[2]);
  calls = people.flatMap(({ recorder }) => recorder.calls);
  // Ahead, as an allowance that is drawn is a change too.
  for (let count = 0; count < 3 * calls.length; count += 100) await tokens.draw('general', 100);
  await tokens.draw('contact', 100);
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  wire = new Wire(world.door);
  await quiet();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** Somebody deletes their queue: the last thing that can be done. */
async function forget(person: Witness): Promise<void> {
  const { qsUser, qsClient } = await idSigners(person);
  const { domain } = await person.account();
  const { queue } = servicesOf(person.recorder, { crypto, clock, audience: domain });
  const request = { qsClientId: scopedWire(qsClient.key.qsClient) };
  await queue.deleteClient(request, { sign: qsUser, token: await tokens.takeRaw('general') });
}

/** Waits until what was accepted is stored, and nobody writes any more. */
async function quiet(): Promise<void> {
  let before = '';
  for (;;) {
    const now = JSON.stringify(await dumpAll(world));
    if (now === before && now.includes('"ds.outbox":[]')) return;
    before = now;
    await sleep(100);
  }
}

async function again({ path, request, proof }: Omit<Recorded, 'answer'>): Promise<Heard> {
  const { token } = RULES[path] ?? { token: '' };
  const authorization =
    token === 'TOKEN_CLASS_EXEMPT'
      ? undefined
      : await tokens.take(token === 'TOKEN_CLASS_CONTACT' ? 'contact' : 'general');
  return await wire.grpc({ path, request, proof, authorization }, /\/Listen/.test(path));
}

/**
 * Of an answer with tokens, these: how many are left is another thing each time. A commit that lost hears of what
 * has won since, too.
 */
function isSame(path: string, heard: Uint8Array = new Uint8Array(0), before: Uint8Array): boolean {
  if (path.endsWith('/Commit')) {
    const results = [heard, before].map((each) => CommitResponse.decode(each).result?.$case);
    if (results.every((each) => each === 'conflict')) return true;
  }
  if (!path.endsWith('/IssueTokens')) return equal(heard, before);
  const [one, other] = [heard, before].map((each) => IssueTokensResponse.decode(each));
  return equal(one?.blindSignatures ?? heard, other?.blindSignatures ?? before);
}

/** What is not the same afterwards, by table. */
function changes(
  before: Readonly<Record<string, string[]>>,
  after: Readonly<Record<string, string[]>>,
): Record<string, unknown> {
  const differ = Object.keys(after).filter((table) => {
    return JSON.stringify(before[table]) !== JSON.stringify(after[table]);
  });
  return Object.fromEntries(differ.map((table) => [table, [before[table], after[table]]]));
}

test('the story called every method that changes something', () => {
  const called = new Set(calls.map(({ path }) => path));
  const inside = /Internal|Admin|PeerService|^\/envoy\./;
  const missing = Object.keys(RULES).filter((path) => !called.has(path) && !inside.test(path));
  expect(missing.filter((path) => !READS.test(path))).toEqual([]);
});

test('each request, sent again byte for byte, is answered as before or refused', async () => {
  const before = await dumpAll(world);
  const changed = new Set<string>();
  const otherwise: string[] = [];
  const said: string[] = [];
  for (const call of calls) {
    const { said: heard, message } = await again(call);
    said.push(heard);
    // Looked at each time: what one undoes, the next may do again.
    for (const table of Object.keys(changes(before, await dumpAll(world)))) {
      changed.add(`${call.path} changes ${table}`);
    }
    if (heard !== 'OK' || call.answer === undefined || READS.test(call.path)) continue;
    if (!isSame(call.path, message, call.answer)) otherwise.push(call.path);
  }

  expect([...changed]).toEqual([]);
  expect(otherwise).toEqual([]);
  // Most are answered: they were understood, and would have done something the first time.
  expect(said.filter((each) => each === 'OK').length).toBeGreaterThan(50);
  expect(said.filter((each) => /code|HTTP/.test(each))).toEqual([]);
});

test('a signed request that is moved to another method is refused', async () => {
  const before = await dumpAll(world);
  const answered: string[] = [];
  const signed = new Map(calls.filter(({ proof }) => proof !== undefined).map((c) => [c.path, c]));
  for (const [path, call] of signed) {
    const targets = [...signed.keys()].filter(
      (other) => other !== path && RULES[other]?.caller === RULES[path]?.caller,
    );
    for (const target of targets) {
      const { said } = await again({ ...call, path: target });
      if (!/^(UNAUTHENTICATED|MALFORMED|TOO_LARGE)$/.test(said))
        answered.push(`${path} at ${target}`);
    }
  }
  expect(answered).toEqual([]);
  expect(changes(before, await dumpAll(world))).toEqual({});
});

test('after the window each signed request is refused', async () => {
  const before = await dumpAll(world);
  offsetMs = 3 * MINUTE_MS;
  const signed = calls.filter(({ proof }) => proof !== undefined);
  const said = new Set<string>();
  for (const call of signed) said.add((await again(call)).said);

  expect(signed.length).toBeGreaterThan(50);
  expect([...said]).toEqual(['CLOCK_SKEW']);
  expect(changes(before, await dumpAll(world))).toEqual({});
});
