import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { encodeGroupEvent } from '@roost/bus/group-event';
import { type PushRegistration, sealRegistration, wrapRegistrationKey } from '@roost/bus/push';
import { scopedWire } from '@roost/core/ids';
import { MINUTE_MS, sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { NotificationRule } from '@roost/proto/roost/queue/v1/queue';
import { RecordingPush } from './push.fixture.ts';
import { dump } from './dump.fixture.ts';
import {
  bound,
  busEvent,
  message,
  newClient,
  newGroup,
  newUser,
  openWorld,
  readAll,
  send,
  words,
  type World,
} from './world.fixture.ts';

const push = new RecordingPush();
let world: World;
beforeAll(async () => {
  const limits = { pushDelayMs: 20, pushRetryMs: 5, pushesWaitingMax: 2, keepAliveMs: 50 };
  world = await openWorld(limits, push);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});
beforeEach(() => {
  push.sent.length = 0;
  push.outcomes.length = 0;
});

const refused = (reason: string, part = '') =>
  expect.objectContaining({ reason, message: expect.stringContaining(part) });

function subscription(): PushRegistration {
  const endpoint = `https://push.example/${crypto.random(4).join('')}`;
  return { endpoint, p256dh: crypto.p256.generate().publicKey, auth: crypto.random(16) };
}

/** A member that has registered for pushes, and a group that delivers to it. */
async function scene() {
  const user = await newUser(world);
  const [client, groupId] = [await newClient(world, user), newGroup()];
  const handle = await bound(world, client, groupId);
  const [pushKey, key, registration] = [crypto.random(32), crypto.random(32), subscription()];
  const { sign } = client;
  const wrappedKey = wrapRegistrationKey(crypto, { handle, pushKey }, key);
  const request = {
    sealedRegistration: sealRegistration(crypto, key, registration),
    wrappedKeys: [{ handle, wrappedKey }],
  };
  const register = () => world.client.registerPush(request, { sign });
  await register();
  let n = 0;
  const next = (event = message(groupId, 'x'), by = pushKey) => {
    const recipients = [{ handle, pushKey: by, extra: new Uint8Array(0) }];
    n++;
    return busEvent(groupId, n, { recipients, groupEvent: event });
  };
  const deliver = (...of: Parameters<typeof next>) => send(world, [next(...of)]);
  const setRule = (rule: NotificationRule, mutedUntilMs = 0n) =>
    world.client.setNotificationRule({ handles: [handle], rule, mutedUntilMs }, { sign });
  const fetch = () => world.client.ack({ belowSequence: 0n }, { sign });
  return {
    user,
    client,
    sign,
    groupId,
    handle,
    registration,
    request,
    register,
    next,
    deliver,
    setRule,
    fetch,
  };
}

/** How many went out, where so many are awaited; one too many would come in the moment after. */
async function pushes(awaited: number): Promise<number> {
  for (let waited = 0; waited < 20_000 && push.sent.length < awaited; waited += 10) await sleep(10);
  await sleep(120);
  return push.sent.length;
}

test('whom nobody listens for is told once, until it fetches', async () => {
  const { client, registration, deliver, fetch } = await scene();
  await deliver();
  await deliver();
  expect(await pushes(1)).toBe(1);
  expect(push.sent).toEqual([registration]);
  await deliver();
  expect(await pushes(1)).toBe(1);
  await fetch();
  await deliver();
  expect(await pushes(2)).toBe(2);
  expect(words((await readAll(world, client)).items)).toEqual(['x', 'x', 'x', 'x']);
});

test('it stays told over a restart', async () => {
  const { deliver } = await scene();
  await deliver();
  expect(await pushes(1)).toBe(1);
  await world.restart();
  await deliver();
  expect(await pushes(1)).toBe(1);
});

test('whoever listens is not told', async () => {
  const { sign, deliver } = await scene();
  const ear = world.client.listen({ fromSequence: 0n }, { sign })[Symbol.asyncIterator]();
  await ear.next();
  await deliver();
  expect(await pushes(0)).toBe(0);
  await ear.return?.();
  for (let waited = 0; waited < 20_000 && push.sent.length === 0; waited += 100) {
    await deliver();
    await sleep(100);
  }
  expect(push.sent).toHaveLength(1);
});

test('rules decide: silent and muted tell of nothing, and a mute ends by the clock', async () => {
  const { client, deliver, setRule } = await scene();
  await setRule(NotificationRule.SILENT);
  await deliver();
  const untilMs = (Math.ceil(world.clock.now() / MINUTE_MS) + 1) * MINUTE_MS;
  await setRule(NotificationRule.MUTED, BigInt(untilMs));
  await deliver();
  world.clock.set(untilMs - 1);
  await deliver();
  expect(await pushes(0)).toBe(0);
  world.clock.set(untilMs);
  await deliver();
  expect(await pushes(1)).toBe(1);
  expect(words((await readAll(world, client)).items)).toHaveLength(4);
});

test('neither a silenced handle nor what keeps a group going wakes anybody', async () => {
  const { sign, groupId, handle, deliver } = await scene();
  const head = { groupId, epoch: 1n, acceptedAtMs: 5n, mlsMessage: crypto.random(10) };
  for (const kind of ['commit', 'proposal'] as const) {
    await deliver(encodeGroupEvent({ ...head, kind }));
  }
  await world.client.silenceHandles({ handles: [handle], silenced: true }, { sign });
  await deliver();
  expect(await pushes(0)).toBe(0);
});

test('another push key opens nothing, and keeps the right one from nothing', async () => {
  const { deliver } = await scene();
  await deliver(undefined, crypto.random(32));
  expect(await pushes(0)).toBe(0);
  await deliver();
  await deliver(undefined, crypto.random(32));
  expect(await pushes(1)).toBe(1);
});

test('a provider that is away is tried again, and then with the next message', async () => {
  const { deliver } = await scene();
  push.outcomes.push('later', 'later');
  await deliver();
  expect(await pushes(3)).toBe(3);
  const other = await scene();
  push.outcomes.push('later', 'later', 'later', 'later');
  await other.deliver();
  expect(await pushes(7)).toBe(7);
  await other.deliver();
  expect(await pushes(8)).toBe(8);
});

test('a subscription that has ended is forgotten; a new one is told again', async () => {
  const { register, deliver } = await scene();
  push.outcomes.push('gone');
  await deliver();
  expect(await pushes(1)).toBe(1);
  await deliver();
  expect(await pushes(1)).toBe(1);
  await register();
  await deliver();
  expect(await pushes(2)).toBe(2);
});

test('beyond the bound nothing waits, nothing is delayed, and the next message tells', async () => {
  const scenes = [await scene(), await scene(), await scene()];
  // In one batch: offered together, before any of them goes out.
  const batch = scenes.map(({ next }) => next());
  await send(world, batch);
  expect(await pushes(2)).toBe(2);
  const missed = scenes.filter(({ registration }) => {
    return !push.sent.some(({ endpoint }) => endpoint === registration.endpoint);
  });
  for (const { deliver } of missed) await deliver();
  expect(await pushes(3)).toBe(3);
  for (const each of scenes) {
    const { items } = await readAll(world, each.client);
    expect(items).toHaveLength(missed.includes(each) ? 2 : 1);
  }
});

test('pushes end by an empty registration and with the client', async () => {
  const { user, client, sign, deliver, register } = await scene();
  await world.client.registerPush(
    { sealedRegistration: new Uint8Array(0), wrappedKeys: [] },
    { sign },
  );
  await deliver();
  expect(await pushes(0)).toBe(0);
  await register();
  await world.client.deleteClient({ qsClientId: scopedWire(client.id) }, { sign: user.sign });
  const left = await world.database.query({
    text: 'SELECT FROM handles WHERE client_id IS NULL AND push_wrap IS NOT NULL',
  });
  expect(left).toEqual([]);
});

test('the database does not say where pushes go', async () => {
  const { registration } = await scene();
  const rows = await dump(world.database);
  expect(rows).toContain('push_subscriptions');
  expect(rows).not.toContain(Buffer.from(registration.endpoint.slice(0, 12)).toString('hex'));
  expect(rows).not.toContain('push.example');
});

test('a malformed registration, or one by the handle of another, changes nothing', async () => {
  const { sign, request, deliver } = await scene();
  const stranger = await newClient(world);
  const own = { ...request, sealedRegistration: crypto.random(1_052) };
  const [first] = own.wrappedKeys;
  const foreign = { handle: first?.handle ?? crypto.random(32), wrappedKey: crypto.random(60) };
  await world.client.registerPush({ ...own, wrappedKeys: [foreign] }, { sign: stranger.sign });
  const [wrapped] = request.wrappedKeys;
  const many = Array.from({ length: 101 }, () => ({
    handle: crypto.random(32),
    wrappedKey: crypto.random(60),
  }));
  const bad = [
    [{ sealedRegistration: crypto.random(1_051) }, 'sealed_registration'],
    [{ sealedRegistration: new Uint8Array(0) }, 'wrapped_keys'],
    [{ wrappedKeys: many }, 'more than 100'],
    [{ wrappedKeys: [{ handle: crypto.random(32), wrappedKey: crypto.random(59) }] }, '60 bytes'],
    [{ wrappedKeys: [wrapped, wrapped].flatMap((each) => each ?? []) }, 'twice'],
  ] as const;
  for (const [change, part] of bad) {
    const registering = world.client.registerPush({ ...request, ...change }, { sign });
    await expect(registering).rejects.toEqual(refused('MALFORMED', part));
  }
  await deliver();
  expect(await pushes(1)).toBe(1);
});

test('the key for subscriptions is told', async () => {
  const { sign } = await scene();
  const { publicKey } = await world.client.getPushKey({}, { sign });
  expect(publicKey).toEqual(push.publicKey);
});
