// What operators are told of queues: numbers and ages.
import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { QueueAdminServiceDefinition } from '@roost/proto/roost/queue/v1/admin';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import {
  bound,
  busEvent,
  fanOutTo,
  message,
  newClient,
  newGroup,
  openWorld,
  send,
} from './world.fixture.ts';

test('how full queues are is told in numbers, and nothing of whose they are', async () => {
  await using world = await openWorld();
  const admin = clientOf(QueueAdminServiceDefinition, localTransport(world.bindings, 'operator'));
  expect(await admin.measureQueues({})).toMatchObject({ queues: 0n, unread: 0n, oldestDays: 0 });

  const groupId = newGroup();
  const clients = [await newClient(world), await newClient(world), await newClient(world)];
  const handles = await Promise.all(clients.map((each) => bound(world, each, groupId)));
  const [first = utf8('')] = handles;
  for (let n = 1; n <= 12; n++) {
    const to = n <= 9 ? [first] : handles;
    await send(world, [busEvent(groupId, n, fanOutTo(to, message(groupId, `message ${n}`)))]);
  }
  await world.database.query({
    text: 'UPDATE runs SET stored_day = $1 WHERE first_sequence = 0',
    values: [Math.floor(Date.now() / DAY_MS) - 3],
  });
  await world.database.query({
    text: `INSERT INTO dead_letters (tag, incarnation, n, kind, sealed, buried_at)
           VALUES ('\\x00', 1, 1, 'gap', '', now())`,
  });
  const told = await admin.measureQueues({});
  // The secret of each queue counts as a message until it is read.
  expect(told).toEqual({
    ...{ queues: 3n, unread: 21n, oldestDays: 3, deadLetters: 1n, listeners: 0 },
    steps: [
      { unread: 1, queues: 3n },
      { unread: 10, queues: 1n },
      { unread: 100, queues: 0n },
      { unread: 1_000, queues: 0n },
      { unread: 10_000, queues: 0n },
    ],
  });
  expect(JSON.stringify(told, (_, value: unknown) => String(value))).not.toContain(toHex(first));
});
