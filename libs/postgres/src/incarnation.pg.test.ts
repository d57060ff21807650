import { expect, test } from '@jest/globals';
import { freshDatabase } from '@roost/testing/postgres';
import { enterIncarnation, type Restored } from './incarnation.ts';

const migrations = new URL('../../../services/as/migrations/', import.meta.url);

test('a restore is finalized once, by whoever comes first, and not undone by an older number', async () => {
  await using database = await freshDatabase(migrations, { connectionsMax: 6 });
  const done: Restored[] = [];
  const enter = async (incarnation: number) =>
    await enterIncarnation(database, incarnation, async (_, restored) => {
      done.push(restored);
    });
  // A new database served nobody, whatever the number is.
  expect([await enter(3), await enter(3), done.length]).toEqual([false, false, 0]);
  const replicas = await Promise.all([enter(5), enter(5), enter(5)]);
  expect(replicas.filter(Boolean)).toHaveLength(1);
  expect(done).toEqual([{ from: 3, to: 5 }]);
  await expect(enter(4)).rejects.toThrow(/served incarnation 5, and is given 4.*say 5, or 6/);
});

test('where it fails, nothing is noted, and the next start does it', async () => {
  await using database = await freshDatabase(migrations);
  await enterIncarnation(database, 1, async () => {});
  const failing = enterIncarnation(database, 2, async (tx) => {
    await tx.query({ text: `DELETE FROM invites` });
    throw new Error('killed');
  });
  await expect(failing).rejects.toThrow('killed');
  expect(await enterIncarnation(database, 2, async () => {})).toBe(true);
});
