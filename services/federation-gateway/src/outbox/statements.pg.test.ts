import { expect, test } from '@jest/globals';
import { freshDatabase } from '@roost/testing/postgres';
import { wrongStatements } from '@roost/testing/statements';
import './store/gone.ts';
import './store/lanes.ts';
import './store/letters.ts';
import './store/marks.ts';
import './store/rows.ts';

test('every statement fits the schema', async () => {
  await using database = await freshDatabase(new URL('../../migrations', import.meta.url));
  expect(await wrongStatements(database)).toEqual({});
});
