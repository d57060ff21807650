// A client in a process of its own, to be killed at any instant: it sends its numbered lines to its
// only chat until all are written down, and stays until all of the other's are there.
import { openNodeClient } from '@roost/client/node/open';
import { type Door, serverOf } from '@roost/e2e/door';

const [folder = '', door = '{}', name = '', total = '0', pauseMs = '0'] = process.argv.slice(2);
const count = Number(total);
const server = serverOf(JSON.parse(door) as Door);
await using opened = await openNodeClient({ folder, server, userName: name });
const { client } = opened;
void (async () => {
  for await (const _ of client.events());
})();
const chat = client.chats()[0]?.id ?? '';
const lines = async (isOwn: boolean): Promise<number> =>
  (await client.history(chat, 10 * count)).filter((line) => line.isOwn === isOwn).length;

for (let next = await lines(true); next < count; next++) {
  await client.send(chat, `${name} ${next}`);
  if (pauseMs !== '0') await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
}
while ((await lines(false)) < count || client.unfinished().length > 0) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
process.stdout.write('done\n');
