// The QS alone was restored from a backup: it knows no handle by which its clients entered groups since, nor what was
// set for those. Nobody is left out for it: each client says again where its groups deliver to.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { AllInOne } from '@roost/e2e/all-in-one';
import { befriend, Person } from '@roost/e2e/person';

/** What refers to others stands behind them. */
const TABLES = [
  ...['users', 'friendship_tokens', 'clients', 'queues', 'runs', 'handles', 'push_subscriptions'],
  ...['last_resort_bindings', 'add_packages', 'claims', 'marks', 'dead_letters', 'nonces'],
];

let world: AllInOne;
let folder: string;

beforeAll(async () => {
  world = await AllInOne.open();
  folder = await mkdtemp(join(tmpdir(), 'roost-queues-'));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const qs = async (text: string): Promise<unknown> => await world.databases.qs.query({ text });

async function backUp(): Promise<() => Promise<void>> {
  for (const table of TABLES) await qs(`CREATE TABLE backup_${table} AS TABLE ${table}`);
  return async () => {
    await qs(`TRUNCATE ${TABLES.join(', ')}`);
    for (const table of TABLES) {
      await qs(`INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT * FROM backup_${table}`);
    }
  };
}

const come = (name: string): Promise<Person> => Person.come(name, { ...world.door, folder });

async function found(who: Person, title: string, ...others: readonly Person[]): Promise<string> {
  const names = others.map(({ name }) => name);
  const chat = await who.client.createGroup(title, names);
  await Promise.all(others.map((each) => each.until('joined', (event) => event.chat === chat)));
  return chat;
}

/** Speaks until it is heard: what was said before the other was back is among what is missing. */
async function reach(from: Person, to: Person, chat: string): Promise<void> {
  for (let number = 1; number <= 60; number++) {
    const words = `${from.name} in ${chat} again, ${number}`;
    await (
      await from.client.send(chat, words)
    ).sent;
    const heard = to.until('message', ({ text }) => text === words, 1_000);
    if ((await heard.catch(() => undefined)) !== undefined) return;
  }
  throw new Error(`${to.name} is not reached any more`);
}

/** Until so many people can be added to groups. */
async function untilAddable(count: number): Promise<void> {
  const text = `SELECT count(DISTINCT user_id)::integer AS count
                  FROM friendship_tokens JOIN clients USING (user_id) JOIN add_packages USING (client_id)
                 WHERE NOT is_claimed`;
  for (let waited = 0; waited < 60_000; waited += 50) {
    const [row] = await world.databases.qs.query<{ count: number }>({ text });
    if (row?.count === count) return;
    await sleep(50);
  }
  throw new Error('somebody cannot be added');
}

test('who entered groups since the backup hears all of them again, and is told that something may be missing', async () => {
  await using ann = await come('ann');
  await using ben = await come('ben');
  const conversation = await befriend(ann, ben);
  const quiet = await found(ann, 'quiet', ben);
  await ben.client.silence(quiet);

  const restore = await backUp();
  await ben.client.unsilence(quiet);
  // Who came since is not known at all.
  await using kim = await come('kim');
  const meeting = await befriend(ann, kim);
  const garden = await found(ann, 'garden', ben);
  const founded = await found(ben, 'founded', ann);
  // Who is away for long is added by a KeyPackage of last resort, of which several groups have the handle.
  await qs('UPDATE add_packages SET expires_at = now() WHERE NOT is_last_resort');
  const orchard = await found(ann, 'orchard', ben);
  const meadow = await found(ann, 'meadow', ben);

  await world.stop();
  await restore();
  world.incarnation = 2;
  await world.start();
  for (const who of [ann, ben, kim]) await who.until('lost', undefined, 60_000);
  for (const chat of [conversation, quiet, garden, founded, orchard, meadow]) {
    await reach(ann, ben, chat);
  }
  for (const chat of [garden, founded]) await reach(ben, ann, chat);
  await reach(ann, kim, meeting);
  await reach(kim, ann, meeting);
  await untilAddable(3);
  await found(ann, 'late', kim, ben);
  for (const who of [ann, ben, kim]) {
    expect(new Set(who.texts()).size).toBe(who.texts().length);
    expect(who.events.filter(({ kind }) => kind === 'removed' || kind === 'gone')).toEqual([]);
  }
}, 300_000);
