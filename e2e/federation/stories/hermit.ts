// Somebody whose client has no network: a socket that is a file is the door of their homeserver, and all there is.
// Prints `out of reach` once it has tried the addresses that it is given, and `heard` when those it knows of answered.
import { connect as connectSocket } from 'node:net';
import { Client } from '@roost/client/client';
import { NodeStore } from '@roost/client/node/store';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { connect } from '@roost/rpc/client';

export interface Hermitage {
  readonly door: string;
  readonly ca?: string | undefined;
  readonly folder: string;
  readonly name: string;
  /** `name@domain` of those who are to be spoken with. */
  readonly others: readonly string[];
  /** `host:port` of all that must not be reached. */
  readonly forbidden: readonly string[];
}

const { door, ca, folder, name, others, forbidden } = JSON.parse(
  process.argv[2] ?? '',
) as Hermitage;

/** `ENETUNREACH`, where there is no network. */
async function refusalOf(address: string): Promise<string> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  return new Promise((resolve) => {
    const socket = connectSocket(Number(port), host, () => {
      socket.destroy();
      resolve('reached');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

const refusals = await Promise.all(forbidden.map(refusalOf));
process.stdout.write(`out of reach: ${[...new Set(refusals)].toSorted().join(', ')}\n`);

using store = NodeStore.open(folder);
using channel = connect(`unix:${door}`, ca === undefined ? {} : { tls: { ca, name: 'localhost' } });
const client = await Client.register({ store, transport: channel, crypto, userName: name });
const waiting = new Set(others);
const reading = (async () => {
  for await (const event of client.events()) {
    if (event.kind === 'connected') await client.send(event.chat, `${name} to ${event.name}`);
    if (event.kind !== 'message') continue;
    waiting.delete(event.sender);
    if (waiting.size === 0) return;
  }
})();
for (const other of others) await client.connect(other);
await reading;
process.stdout.write('heard\n');
await client.close();
