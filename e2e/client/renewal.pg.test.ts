import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { DAY_MS, sleep } from '@roost/core/time';
import { befriend, Person } from '@roost/e2e/person';
import { AllInOne } from '@roost/e2e/all-in-one';

test('whoever comes back after a month renews its keys in each group, once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'roost-renewal-'));
  let ahead = 0;
  const clock = { now: (): number => Date.now() + ahead };
  await using world = await AllInOne.open({ clock });
  const come = async (name: string) => Person.come(name, { ...world.door, folder, clock });
  const epochs = async (): Promise<number> => {
    const rows = await world.databases.ds.query<{ epoch: bigint }>({
      text: 'SELECT epoch FROM groups ORDER BY epoch',
    });
    return rows.reduce((sum, { epoch }) => sum + Number(epoch), 0);
  };
  await using pit = await come('pit');
  {
    await using rut = await come('rut');
    await befriend(pit, rut);
  }
  {
    // Sees its groups for the first time.
    await using rut = await come('rut');
    await rut.client.send(rut.client.chats()[0]?.id ?? '', 'see you');
    await pit.hears('see you');
  }
  const before = await epochs();
  // Issuer keys have expired over it: they rotate by timers, which do not see this clock, and at a start.
  await world.stop();
  ahead = 31 * DAY_MS;
  await world.start();
  await using rut = await come('rut');
  for (let waited = 0; waited < 1_200 && (await epochs()) === before; waited++) await sleep(50);
  expect(await epochs()).toBe(before + 1);
  await rut.client.send(rut.client.chats()[0]?.id ?? '', 'with new keys');
  await pit.hears('with new keys');
  expect(await epochs()).toBe(before + 1);
  rmSync(folder, { recursive: true });
});
