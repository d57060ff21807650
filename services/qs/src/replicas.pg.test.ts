// Two processes over one database: what each of them remembers does no harm.
import { expect, test } from '@jest/globals';
import { MemoryBus } from '@roost/bus/memory';
import { scopedWire } from '@roost/core/ids';
import {
  addPackage,
  bound,
  newClient,
  newGroup,
  newUser,
  openReplica,
  openWorld,
} from './world.fixture.ts';

test('a client that was deleted at one replica is gone at another that remembers it', async () => {
  await using world = await openWorld();
  const replica = await openReplica(world, { bus: new MemoryBus(), bell: world.bell });
  try {
    const user = await newUser(world);
    const deleted = await newClient(world, user);
    const { id, sign } = deleted;
    const groupId = newGroup();
    const handle = await bound(world, deleted, groupId);
    const { client } = replica;
    // Both know it by now.
    await client.ack({ belowSequence: 0n }, { sign });
    await world.client.deleteClient({ qsClientId: scopedWire(id) }, { sign: user.sign });

    const addPackages = [await addPackage({ isLastResort: true })];
    const handles = [{ handle, binding: { groupId: scopedWire(groupId) } }];
    const calls: Record<string, () => Promise<unknown>> = {
      ack: () => client.ack({ belowSequence: 0n }, { sign }),
      dequeue: () => client.dequeue({ fromSequence: 0n, max: 0 }, { sign }),
      listen: () => client.listen({ fromSequence: 0n }, { sign })[Symbol.asyncIterator]().next(),
      publishAddPackages: () => client.publishAddPackages({ addPackages }, { sign }),
      registerHandles: () => client.registerHandles({ handles }, { sign }),
    };
    const said: Record<string, unknown> = {};
    for (const [name, call] of Object.entries(calls)) {
      said[name] = await call().then(
        () => 'OK',
        (error: unknown) => (error instanceof Error && 'reason' in error ? error.reason : error),
      );
    }
    expect(said).toEqual(Object.fromEntries(Object.keys(calls).map((n) => [n, 'QUEUE_UNKNOWN'])));
    // Who gives back what is gone has what it wants.
    await client.releaseHandles({ handles: [handle] }, { sign });
    for (const table of ['queues', 'clients', 'add_packages']) {
      const rows = await world.database.query({ text: `SELECT FROM ${table}` });
      expect([table, rows.length]).toEqual([table, 0]);
    }
  } finally {
    await replica.close();
  }
});
