// What operators are told of the outbox: numbers and ages.
import { expect, test } from '@jest/globals';
import { MINUTE_MS } from '@roost/core/time';
import { DeliveryAdminServiceDefinition } from '@roost/proto/roost/delivery/v1/admin';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { openHouse, quiet } from './testing/house.fixture.ts';
import { TestReceiver } from './testing/receiver.fixture.ts';
import { commit, found, send } from './testing/deeds.fixture.ts';
import { person } from './testing/people.fixture.ts';

test('what waits is told by partition, with its age, and whether somebody carries it', async () => {
  const receiver = new TestReceiver();
  await using house = await openHouse({ receiver });
  const admin = clientOf(
    DeliveryAdminServiceDefinition,
    localTransport(house.bindings, 'operator'),
  );
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  await quiet(house);
  const idle = await admin.measureOutbox({});
  expect(idle.partitions.map(({ partition }) => partition)).toEqual([...Array(16).keys()]);
  expect(idle.partitions.every(({ rows, isCarried }) => rows === 0n && isCarried)).toBe(true);
  expect([idle.oldestAgeMs, idle.isFull]).toEqual([0n, false]);

  receiver.weather = () => 'lost';
  for (const text of ['one', 'two', 'three']) await send(house, alice, room, text);
  await admin.measureOutbox({});
  house.clock.advance(MINUTE_MS);
  const { partitions, oldestAgeMs } = await admin.measureOutbox({});
  expect(partitions.filter(({ rows }) => rows > 0n).map(({ rows }) => rows)).toEqual([3n]);
  expect(partitions.some(({ bytes }) => bytes > 300n)).toBe(true);
  expect(oldestAgeMs).toBe(60_000n);
  receiver.weather = () => 'fine';
  await quiet(house);
  expect((await admin.measureOutbox({})).oldestAgeMs).toBe(0n);
});
