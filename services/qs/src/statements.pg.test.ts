import { expect, test } from '@jest/globals';
import { freshDatabase } from '@roost/testing/postgres';
import { wrongStatements } from '@roost/testing/statements';
import './store/add-packages.ts';
import './store/handles.ts';
import './store/housekeeping.ts';
import './store/marks.ts';
import './store/queues.ts';
import './store/records.ts';

test('every statement fits the schema', async () => {
  await using database = await freshDatabase(new URL('../migrations', import.meta.url));
  expect(await wrongStatements(database)).toEqual({});
});
