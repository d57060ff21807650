// U7 and C8 at the queue: nothing of a silenced chat is delivered and whoever sends to it cannot tell,
// neither by the answers nor by what the bus tells the hub; ended, the chat goes on from there. Whom we
// block reaches us by nothing and is told nothing.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type BusAnswer, decodeBusAnswer, decodeBusBatch } from '@roost/bus/frames';
import { MemoryBus } from '@roost/bus/memory';
import type { RequestOptions } from '@roost/bus/ports';
import { toHex } from '@roost/core/bytes';
import { printId } from '@roost/core/ids';
import { MINUTE_MS, sleep } from '@roost/core/time';
import { dump } from '@roost/e2e/dump';
import type { Recorded } from '@roost/e2e/recorder';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { AllInOne } from '@roost/e2e/all-in-one';
import { SendMessageResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { until } from '@roost/testing/until';

interface Answered {
  readonly group: string;
  readonly bytes: number;
  readonly answer: BusAnswer;
  readonly ms: number;
}

/** A bus that writes down what the hub is answered for one event, and how long that took. */
class ListeningBus extends MemoryBus {
  readonly answered: Answered[] = [];

  override async request(partition: number, batch: Uint8Array, options: RequestOptions) {
    const began = performance.now();
    const bytes = await super.request(partition, batch, options);
    const ms = performance.now() - began;
    const { events } = decodeBusBatch(batch);
    const [event] = events;
    if (event?.kind === 'event' && events.length === 1) {
      const group = printId(event.groupId);
      this.answered.push({ group, bytes: bytes.length, answer: decodeBusAnswer(bytes), ms });
    }
    return bytes;
  }
}

/** So many of each: the median of fewer hangs on what else the machine does. */
const TURNS = 30;

let world: AllInOne;
let bus: ListeningBus;
beforeAll(async () => {
  bus = new ListeningBus();
  world = await AllInOne.open({ bus });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const come = (name: string): Promise<Witness> => Witness.come(world.door, name);

async function say(speaker: Witness, chat: string, text: string): Promise<void> {
  const { sent } = await speaker.client.send(chat, text);
  await sent;
}

/** Everything that is on its way to somebody has come when this has, which is sent after it. */
async function barrier(from: Witness, to: Witness, chat: string, text: string): Promise<void> {
  await say(from, chat, text);
  await to.hears(text);
}

test('a chat is silenced: nobody can tell, nothing comes, and later it goes on with what was committed', async () => {
  await using alice = await come('alice');
  await using bob = await come('bob');
  const dm = await connectTwo(alice, bob);
  const chat = await bob.client.createGroup('Loud', ['alice']);
  await alice.until('joined');
  const other = await bob.client.createGroup('Other', ['alice']);
  await alice.until('joined', (event) => event.chat === other);
  await say(bob, chat, 'heard');
  await alice.hears('heard');

  await alice.client.silence(chat);
  expect(alice.client.chat(chat)?.isSilenced).toBe(true);
  const answersFor = (group: string): Answered[] =>
    bus.answered.filter((each) => each.group === group);
  const told = answersFor(chat).length;
  await say(bob, chat, 'not heard');
  await until(() => answersFor(chat).length > told);
  const [before, after] = bob.recorder.of('SendMessage').slice(-2);
  expect(timeless(after)).toEqual(timeless(before));
  for (let turn = 0; turn < TURNS; turn++) {
    // Each by itself, and the same number of each, however busy the machine is.
    for (const group of [chat, other]) {
      const sofar = answersFor(group).length;
      await say(bob, group, `${group === chat ? 'silenced' : 'active'} ${turn}`);
      await until(() => answersFor(group).length > sofar);
    }
  }
  const [silenced, active] = [chat, other].map((group) => answersFor(group).slice(-TURNS));
  await bob.client.setTitle(chat, 'Still loud');
  await say(bob, chat, 'not heard either');
  await barrier(bob, alice, dm, 'all of that was sent');
  expect(alice.texts(chat)).toEqual(['heard']);
  expect(alice.events.some(({ kind }) => kind === 'title')).toBe(false);

  for (const { answer } of silenced ?? []) {
    expect({ marks: answer.marks.length, gone: answer.gone }).toEqual({ marks: 1, gone: [] });
  }
  expect(silenced?.map(({ bytes }) => bytes)).toEqual(active?.map(({ bytes }) => bytes));
  const ratio = medianMs(silenced ?? []) / medianMs(active ?? []);
  expect(ratio).toBeGreaterThan(1 / 3);
  expect(ratio).toBeLessThan(3);

  await alice.client.unsilence(chat);
  await alice.until('title', ({ title }) => title === 'Still loud');
  await say(bob, chat, 'heard again');
  await alice.hears('heard again');
  await say(alice, chat, 'and here I am');
  await bob.hears('and here I am');
  expect(alice.texts(chat)).toEqual(['heard', 'heard again']);
});

/** An answer to a message, byte for byte, but for the time in it. */
function timeless(recorded: Recorded | undefined): Uint8Array | undefined {
  const { answer } = recorded ?? {};
  if (answer === undefined) return undefined;
  const { acceptedAtMs } = SendMessageResponse.decode(answer);
  const time = SendMessageResponse.encode({ acceptedAtMs }).finish();
  return Uint8Array.of(answer.length, time.length, ...answer.subarray(time.length));
}

function medianMs(answered: readonly Answered[]): number {
  const sorted = answered.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

test('a member that was removed while it had silenced a group finds that out when it listens again', async () => {
  await using alice = await come('anna');
  await using bob = await come('bert');
  await connectTwo(alice, bob);
  const chat = await bob.client.createGroup('Short', ['anna']);
  await alice.until('joined');
  await alice.client.silence(chat);
  await bob.client.remove(chat, 'anna');
  await alice.client.unsilence(chat);
  await alice.until('gone', (event) => event.chat === chat);
});

test('of two groups that were entered by the same last-resort KeyPackage one falls silent alone', async () => {
  await using alice = await come('alma');
  await using bob = await come('boris');
  await connectTwo(alice, bob);
  const enter = async (title: string): Promise<string> => {
    await world.databases.qs.query({ text: 'DELETE FROM add_packages WHERE NOT is_last_resort' });
    const chat = await bob.client.createGroup(title, ['alma']);
    await alice.until('joined', (event) => event.chat === chat);
    return chat;
  };
  const [quiet, loud] = [await enter('Quiet'), await enter('Loud')];
  const handles = async () => {
    const found = await alice.groups();
    return [quiet, loud].map((chat) => {
      const group = found.find(({ id }) => printId(id) === chat);
      return toHex(group?.leaf.handle ?? new Uint8Array(0));
    });
  };
  const [before, shared] = await handles();
  expect(before).toBe(shared);

  await alice.client.silence(quiet);
  expect((await handles())[0]).not.toBe(shared);
  await say(bob, quiet, 'not heard');
  await barrier(bob, alice, loud, 'heard');
  await alice.client.unsilence(quiet);
  await barrier(bob, alice, quiet, 'heard again');
  expect([alice.texts(quiet), alice.texts(loud)]).toEqual([['heard again'], ['heard']]);
});

test('a rule is kept at the queue alone, by the minute, and nothing of it goes to the hub', async () => {
  await using alice = await come('alba');
  await using bob = await come('bela');
  const dm = await connectTwo(alice, bob);
  await barrier(bob, alice, dm, 'not muted yet');
  await sleep(300);
  const [hub, calls] = [await dump(world.databases.ds), bob.recorder.calls.length];
  const untilMs = Date.now() + 90 * MINUTE_MS + 12_345;
  await alice.client.setNotifications(dm, { kind: 'muted', untilMs });
  const minute = Math.ceil(untilMs / MINUTE_MS);
  expect(alice.client.chat(dm)?.notifications).toEqual({
    kind: 'muted',
    untilMs: minute * MINUTE_MS,
  });
  expect(await rules()).toContainEqual({ rule: 3, until: minute });
  expect(await dump(world.databases.ds)).toEqual(hub);
  expect(bob.recorder.calls).toHaveLength(calls);
  await barrier(bob, alice, dm, 'muted, and delivered all the same');
  await alice.client.setNotifications(dm, { kind: 'all' });
  expect(await rules()).not.toContainEqual({ rule: 3, until: minute });
  const past = alice.client.setNotifications(dm, { kind: 'muted', untilMs: 1 });
  await expect(past).rejects.toMatchObject({ reason: 'MALFORMED' });
});

async function rules(): Promise<object[]> {
  const text = 'SELECT rule, muted_until AS until FROM handles';
  return world.databases.qs.query<object>({ text });
}

test('whom we block reaches us by nothing, and is back when we unblock', async () => {
  await using alice = await come('ada');
  await using bob = await come('ben');
  await using carol = await come('cleo');
  const dm = await connectTwo(alice, bob);
  await connectTwo(alice, carol);
  await connectTwo(bob, carol);
  const chat = await carol.client.createGroup('Three', ['ada', 'ben']);
  await Promise.all([alice.until('joined'), bob.until('joined')]);
  await say(bob, dm, 'before');
  await alice.hears('before');
  const tokens = await tokenCount();

  await alice.client.block('ben');
  expect(alice.client.chat(dm)).toMatchObject({ isBlocked: true, isSilenced: true });
  await expect(alice.client.send(dm, 'hm')).rejects.toThrow('unblock first');
  await expect(alice.client.add(chat, ['ben'])).rejects.toThrow();
  expect(await tokenCount()).toBe(tokens);
  const [sent] = bob.recorder.of('SendMessage').slice(-1);
  await say(bob, dm, 'into the void');
  expect(timeless(bob.recorder.of('SendMessage').at(-1))).toEqual(timeless(sent));
  await say(bob, chat, 'to both');
  await carol.hears('to both');
  const claiming = bob.client.createGroup('Without her', ['ada']);
  await expect(claiming).rejects.toMatchObject({ reason: 'USER_UNKNOWN' });
  await barrier(carol, alice, chat, 'from cleo');
  expect([alice.texts(dm), alice.texts(chat)]).toEqual([['before'], ['from cleo']]);

  await alice.client.unblock('ben');
  await say(bob, dm, 'after');
  await alice.hears('after');
  await say(alice, dm, 'welcome back');
  await bob.hears('welcome back');
  const again = await bob.client.createGroup('With her', ['ada']);
  await alice.until('joined', (event) => event.chat === again);
  expect([alice.texts(dm), alice.texts(chat)]).toEqual([['before', 'after'], ['from cleo']]);
});

test('a blocked user asks in vain', async () => {
  await using alice = await come('arno');
  await using bob = await come('bodo');
  await using carol = await come('cora');
  await bob.client.connect('arno');
  await alice.until('request');
  await alice.client.reject('bodo');
  await bob.until('rejected');
  await alice.client.block('bodo');
  await expect(alice.client.block('bodo')).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' });
  await expect(alice.client.block('nobody')).rejects.toMatchObject({ reason: 'USER_UNKNOWN' });
  await bob.client.connect('arno');
  await connectTwo(carol, alice);
  expect(alice.client.requests()).toEqual([]);
  const asked = alice.events.filter(({ kind }) => kind === 'request');
  expect(asked).toHaveLength(2);
});

async function tokenCount(): Promise<number> {
  const rows = await world.databases.qs.query({ text: 'SELECT FROM friendship_tokens' });
  return rows.length;
}
