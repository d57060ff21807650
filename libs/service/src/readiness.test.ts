import { expect, test } from '@jest/globals';
import { Database } from '@roost/postgres/database';
import { Readiness } from './readiness.ts';

/** Nobody listens there. */
const nowhere = (): Database => new Database({ url: 'postgres://nobody@127.0.0.1:9/nothing' }, 1);

test('without its database a process is not ready; what else is away is told', async () => {
  await using database = nowhere();
  const never = new Promise<boolean>(() => undefined);
  const readiness = new Readiness(database, {
    nats: { isThere: () => false },
    redis: { isThere: async () => true },
    as: { isThere: () => never },
    broken: { isThere: () => Promise.reject(new Error('away')) },
  });
  readiness.begin();
  expect(await readiness.state()).toEqual({
    missing: ['database'],
    away: ['nats', 'as', 'broken'],
  });
  expect(await readiness.isReady()).toBe(false);
});

test('who does not listen yet, or is about to stop, says so, whatever else there is', async () => {
  await using database = nowhere();
  const readiness = new Readiness(database, {});
  expect(await readiness.state()).toEqual({ missing: ['starting'], away: [] });
  expect(await readiness.isReady()).toBe(false);
  readiness.begin();
  readiness.stop();
  expect(await readiness.state()).toEqual({ missing: ['stopping'], away: [] });
  expect(await readiness.isReady()).toBe(false);
});

test('many who ask are one look', async () => {
  await using database = nowhere();
  let looks = 0;
  const readiness = new Readiness(database, {
    nats: {
      async isThere() {
        looks++;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return true;
      },
    },
  });
  readiness.begin();
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 50 }, async () => await readiness.state()));
  }
  expect(looks).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 600));
  await readiness.state();
  expect(looks).toBe(2);
});
