// What a thief of the disk learns of a group by the sizes of its rows: not how many are in it.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { commit, found, send } from './testing/deeds.fixture.ts';
import { openHouse } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { person } from './testing/people.fixture.ts';
import type { Person } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});
afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

/** How long what is sealed of a group is, by table, in the order of its rows. */
async function sizesOf(group: string): Promise<Record<string, number[]>> {
  const tables = await house.database.query<{ name: string }>({
    text: `SELECT table_name AS name FROM information_schema.columns AS sealed
            WHERE table_schema = 'public' AND column_name = 'sealed' AND table_name <> 'outbox'
              AND EXISTS (SELECT FROM information_schema.columns AS ids
                           WHERE ids.table_name = sealed.table_name AND column_name = 'group_id')`,
  });
  const sizes = tables.map(async ({ name }) => {
    const rows = await house.database.query<{ size: number }>({
      text: `SELECT length(sealed) AS size FROM ${name} WHERE group_id = $1 ORDER BY 1`,
      values: [group],
    });
    return [name, rows.map(({ size }) => size)] as const;
  });
  return Object.fromEntries(await Promise.all(sizes));
}

/** A group of so many with a short life. */
async function live(size: number): Promise<Record<string, number[]>> {
  const people: Person[] = [];
  while (people.length < size) people.push(await person(`member ${people.length}`));
  const [alice = none()] = people;
  const room = await found(house, alice);
  const add = people.slice(1);
  if (add.length > 0) await commit(house, alice, room, { add });
  else await commit(house, alice, room);
  await send(house, alice, room, 'hello');
  await commit(house, alice, room);
  return await sizesOf(room.id.uuid);
}

test('by the lengths of its rows a group of two is not told from a group of five', async () => {
  const [two, five] = [await live(2), await live(5)];
  // In the log the size of a commit shows, and so whether it added many at once.
  const { log: shortLog, ...few } = two;
  const { log: longLog, ...more } = five;
  expect(Object.keys(two)).toEqual(
    expect.arrayContaining(['rosters', 'states', 'log', 'accepted', 'join_infos']),
  );
  expect(few).toEqual(more);
  expect(shortLog).toHaveLength(longLog?.length ?? 0);
  expect((await live(1))['rosters']).toEqual(two['rosters']);
  expect((await live(1))['states']).toEqual(two['states']);
});

function none(): never {
  throw new Error('there is one');
}
