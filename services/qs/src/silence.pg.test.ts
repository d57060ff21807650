import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { scopedWire } from '@roost/core/ids';
import { MINUTE_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { NotificationRule } from '@roost/proto/roost/queue/v1/queue';
import { sweeps } from './store/housekeeping.ts';
import {
  addPackage,
  bound,
  busEvent,
  fanOutTo,
  message,
  newClient,
  newGroup,
  newUser,
  openWorld,
  pair,
  readAll,
  send,
  type TestClient,
  words,
  type World,
} from './world.fixture.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const refused = (reason: string, part = '') =>
  expect.objectContaining({ reason, message: expect.stringContaining(part) });

async function scene() {
  const [client, groupId] = [await newClient(world), newGroup()];
  const handle = await bound(world, client, groupId);
  const deliver = (n: number) =>
    send(world, [busEvent(groupId, n, fanOutTo([handle], message(groupId, `message ${n}`)))]);
  const silence = (silenced: boolean, by: TestClient = client) =>
    world.client.silenceHandles({ handles: [handle], silenced }, { sign: by.sign });
  const read = async () => words((await readAll(world, client)).items);
  return { client, groupId, handle, deliver, silence, read };
}

test('a silenced handle answers as a delivery does, stores nothing, and takes on again as it was bound', async () => {
  const { groupId, deliver, silence, read } = await scene();
  const heard = await deliver(1);
  await silence(true);
  await silence(true);
  const silenced = await deliver(2);
  expect(silenced).toEqual({ ...heard, marks: [{ groupId, mark: pair(2) }] });
  expect(await read()).toEqual(['message 1']);
  await silence(false);
  await silence(false);
  await deliver(3);
  expect(await read()).toEqual(['message 1', 'message 3']);
});

test('a delivery to a silenced handle makes the statements that any other makes', async () => {
  const { deliver, silence } = await scene();
  const statementsOf = async (n: number): Promise<number> => {
    const before = world.database.statements;
    await deliver(n);
    return world.database.statements - before;
  };
  const heard = await statementsOf(1);
  await silence(true);
  expect(await statementsOf(2)).toBe(heard);
});

test('a group with a silenced member goes on for the others, in the same batch too', async () => {
  const [{ groupId, handle, silence, read }, other] = [await scene(), await newClient(world)];
  const otherHandle = await bound(world, other, groupId);
  await silence(true);
  const to = [handle, otherHandle];
  const events = [1, 2].map((n) => busEvent(groupId, n, fanOutTo(to, message(groupId, `${n}`))));
  await send(world, events);
  await silence(false);
  await send(world, [busEvent(groupId, 3, fanOutTo(to, message(groupId, '3')))]);
  expect(words((await readAll(world, other)).items)).toEqual(['1', '2', '3']);
  // Its ratchet was not stepped by what was thrown away.
  expect(await read()).toEqual(['3']);
});

test('neither a repeated registration nor a replay ends a silence', async () => {
  const { client, groupId, handle, deliver, silence, read } = await scene();
  await silence(false);
  const replay = world.lastCall();
  await silence(true);
  const binding = { groupId: scopedWire(groupId) };
  await world.client.registerHandles({ handles: [{ handle, binding }] }, { sign: client.sign });
  await expect(replay()).rejects.toEqual(refused('REPLAYED'));
  await deliver(1);
  expect(await read()).toEqual([]);
});

test('the handle of a last-resort KeyPackage keeps all its bindings over a silence', async () => {
  const user = await newUser(world);
  const client = await newClient(world, user);
  const token = crypto.random(32);
  const tokens = { tokenHashes: [crypto.sha256(token)], version: 1n };
  await world.client.setFriendshipTokens(tokens, { sign: user.sign });
  const handle = crypto.random(32);
  const last = await addPackage({ handle, isLastResort: true });
  await world.client.publishAddPackages({ addPackages: [last] }, { sign: client.sign });
  const groups = [newGroup(), newGroup()];
  for (const groupId of groups) {
    const claim = { claimId: crypto.random(16), ownerDomain: user.id.domain };
    await world.client.claimAddPackages({
      ...claim,
      friendshipToken: token,
      groupId: scopedWire(groupId),
    });
  }
  const deliver = (n: number) =>
    send(
      world,
      groups.map((groupId) => busEvent(groupId, n, fanOutTo([handle], message(groupId, `${n}`)))),
    );
  for (const silenced of [true, false]) {
    await world.client.silenceHandles({ handles: [handle], silenced }, { sign: client.sign });
    await deliver(silenced ? 1 : 2);
  }
  expect(words((await readAll(world, client)).items)).toEqual(['2', '2']);
});

test('nobody silences or mutes for another, nor learns whether a handle is in use', async () => {
  const [{ handle, deliver, read }, other] = [await scene(), await newClient(world)];
  const { sign } = other;
  const heard: unknown[] = [];
  for (const each of [handle, crypto.random(32)]) {
    const own = crypto.random(32);
    const registered = [{ handle: own, binding: undefined }];
    await world.client.registerHandles({ handles: registered }, { sign });
    // Refused whole: the own one stays as it was.
    const handles = [own, each];
    const silencing = world.client.silenceHandles({ handles, silenced: true }, { sign });
    heard.push(await silencing.catch((error: unknown) => error));
    const ruling = { handles, rule: NotificationRule.SILENT, mutedUntilMs: 0n };
    const muting = world.client.setNotificationRule(ruling, { sign });
    heard.push(await muting.catch((error: unknown) => error));
    expect(await rowOf(own)).toEqual({ state: 1, rule: 1, mutedUntil: null });
  }
  const [ofSilence, ofRule, ...ofNone] = heard;
  expect([ofSilence, ofRule]).toEqual([refused('QUEUE_UNKNOWN'), refused('QUEUE_UNKNOWN')]);
  expect(ofNone).toEqual([ofSilence, ofRule]);
  await deliver(1);
  expect(await read()).toEqual(['message 1']);
});

async function rowOf(handle: Uint8Array) {
  const [row] = await world.database.query({
    text: `SELECT state, rule, muted_until AS "mutedUntil" FROM handles WHERE handle_hash = $1`,
    values: [crypto.sha256(handle)],
  });
  return row;
}

test('rules are set, changed, and forgotten by the clock; delivery does not depend on them', async () => {
  const { client, handle, deliver, read } = await scene();
  const { sign } = client;
  const untilMinute = Math.ceil(world.clock.now() / MINUTE_MS) + 60;
  const mutedUntilMs = BigInt(untilMinute * MINUTE_MS);
  const set = (rule: NotificationRule, until = 0n) =>
    world.client.setNotificationRule({ handles: [handle], rule, mutedUntilMs: until }, { sign });
  await set(NotificationRule.SILENT);
  expect(await rowOf(handle)).toEqual({ state: 1, rule: 2, mutedUntil: null });
  await deliver(1);
  await set(NotificationRule.MUTED, mutedUntilMs);
  await set(NotificationRule.MUTED, mutedUntilMs);
  expect(await rowOf(handle)).toEqual({ state: 1, rule: 3, mutedUntil: untilMinute });
  await deliver(2);
  await sweeps.mutes(world.database, untilMinute - 1, 10);
  expect(await rowOf(handle)).toMatchObject({ rule: 3 });
  await sweeps.mutes(world.database, untilMinute, 10);
  expect(await rowOf(handle)).toEqual({ state: 1, rule: 1, mutedUntil: null });
  await set(NotificationRule.SILENT);
  await set(NotificationRule.ALL);
  expect(await rowOf(handle)).toEqual({ state: 1, rule: 1, mutedUntil: null });
  await expect(world.lastCall()()).rejects.toEqual(refused('REPLAYED'));
  expect(await read()).toEqual(['message 1', 'message 2']);
});

test('malformed rules and lists of handles change nothing', async () => {
  const { client, handle } = await scene();
  const { sign } = client;
  const { ALL, MUTED, UNSPECIFIED } = NotificationRule;
  const minute = BigInt(MINUTE_MS);
  const many = Array.from({ length: 101 }, () => crypto.random(32));
  const bad = [
    [{ handles: [handle], rule: UNSPECIFIED, mutedUntilMs: 0n }, 'rule'],
    [{ handles: [handle], rule: ALL, mutedUntilMs: minute }, 'muted_until_ms'],
    [{ handles: [handle], rule: MUTED, mutedUntilMs: 0n }, 'missing'],
    [{ handles: [handle], rule: MUTED, mutedUntilMs: minute + 1n }, 'whole minute'],
    [{ handles: [handle], rule: MUTED, mutedUntilMs: minute * 2n ** 40n }, 'too far'],
    [{ handles: [handle, handle], rule: ALL, mutedUntilMs: 0n }, 'twice'],
    [{ handles: [new Uint8Array(31)], rule: ALL, mutedUntilMs: 0n }, '32 bytes'],
    [{ handles: many, rule: ALL, mutedUntilMs: 0n }, 'more than 100'],
  ] as const;
  for (const [request, part] of bad) {
    const setting = world.client.setNotificationRule(request, { sign });
    await expect(setting).rejects.toEqual(refused('MALFORMED', part));
  }
  const silencing = world.client.silenceHandles({ handles: many, silenced: true }, { sign });
  await expect(silencing).rejects.toEqual(refused('MALFORMED', 'more than 100'));
  expect(await rowOf(handle)).toEqual({ state: 1, rule: 1, mutedUntil: null });
});
