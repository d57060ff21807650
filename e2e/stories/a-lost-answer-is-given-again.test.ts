// Invariant 2, seen by clients: the connection is cut at the moment an answer begins, again and again,
// while people connect, found groups, talk, change and leave them. Whatever was done and not heard of is
// asked for again, answered alike, and done once. The seed is printed; ROOST_SEED repeats it.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toHex } from '@roost/core/bytes';
import { sleep } from '@roost/core/time';
import { Cutter } from '@roost/e2e/cutter';
import { queueLog } from '@roost/e2e/queue-log';
import { randomOf } from '@roost/e2e/random';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { World } from '@roost/e2e/world';

const given = process.env['ROOST_SEED'];
const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
const random = randomOf(seed);
/** An answer is one HEADERS frame at its beginning and one at its end. */
const FRAMES_MAX = 16;
const MESSAGES = 15;

let isCutting = false;
let world: World;
let cutter: Cutter;
let people: Witness[] = [];

beforeAll(async () => {
  world = await World.open();
  const mercy = (): number | undefined =>
    isCutting ? Math.floor(random() * FRAMES_MAX) : undefined;
  cutter = await Cutter.open(world.door.address, mercy);
  // Before anything is cut: nobody has a name yet to come back by.
  people = await Promise.all(
    ['olga', 'stan', 'lena'].map(async (name) => await Witness.come(cutter, name)),
  );
});
afterAll(async () => {
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  await cutter[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

test(`every answer may be lost, and all is done once (seed ${seed})`, async () => {
  const [olga, stan, lena] = people as [Witness, Witness, Witness];
  isCutting = true;
  await connectTwo(olga, stan);
  await connectTwo(olga, lena);
  const group = await olga.client.createGroup('The group', ['stan']);
  await stan.until('joined', ({ chat }) => chat === group);
  await olga.client.add(group, ['lena']);
  await lena.until('joined', ({ chat }) => chat === group);
  // Who has not heard of her yet sends at the epoch before her, which is not hers to read.
  await stan.until('added', ({ name }) => name.startsWith('lena@'));
  for (let at = 0; at < MESSAGES; at++) {
    for (const each of people) await each.client.send(group, `${each.name} ${at}`);
  }
  for (const each of people) {
    for (const other of people) {
      if (other !== each) await each.hears(`${other.name} ${MESSAGES - 1}`);
    }
  }
  await stan.client.setTitle(group, 'By stan').catch(() => undefined);
  await olga.client.setTitle(group, 'Still the group');
  await lena.client.leave(group);
  await olga.until('left');
  await stan.until('left');
  isCutting = false;

  const lines = (name: string): string[] =>
    Array.from({ length: MESSAGES }, (_, at) => `${name} ${at}`);
  for (const each of people) {
    const heard = each.texts(group);
    for (const other of people) {
      const theirs = heard.filter((text) => text.startsWith(`${other.name} `));
      expect([each.name, theirs]).toEqual([each.name, other === each ? [] : lines(other.name)]);
    }
  }
  while (stan.client.chat(group)?.name !== 'Still the group') await sleep(20);
  // In the queues themselves nothing lies twice, where a client would hide it.
  for (const each of [olga, stan]) {
    const log = await queueLog(each);
    const all = log.map((event) =>
      event.kind === 'group-deleted' ? event.kind : toHex(event.mlsMessage),
    );
    expect(new Set(all).size).toBe(all.length);
  }
  expect(cutter.cuts).toBeGreaterThan(20);
});

test('what the clients asked for again was answered as it would have been', () => {
  for (const { recorder } of people) {
    for (const name of ['Commit', 'SendMessage', 'CreateGroup', 'JoinGroup']) {
      const answers = new Map<string, Set<string>>();
      for (const { request, answer } of recorder.of(name)) {
        if (answer === undefined) continue;
        const key = toHex(request);
        answers.set(key, (answers.get(key) ?? new Set()).add(toHex(answer)));
      }
      for (const all of answers.values()) expect([name, all.size]).toEqual([name, 1]);
    }
  }
  const asked = people.flatMap(({ recorder }) => recorder.calls);
  const lost = asked.filter(({ error }) => error !== undefined);
  expect(lost.length).toBeGreaterThan(10);
});
