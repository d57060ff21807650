import { CannotStart } from '@roost/core/cannot-start';
import { parseDomain, parseUserName, printUserName } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import { connect, type ConnectOptions, type Transport } from '@roost/rpc/client';
import { Client } from '../client.ts';
import { NodeStore } from './store.ts';

/** Where a homeserver is reached from Node. */
export interface Server {
  /** `host:port`. */
  readonly address: string;
  readonly isTls: boolean;
  /** PEM: whom to believe, where no public authority signed the certificate. */
  readonly ca?: string | undefined;
  /** What its certificate is for, where it is reached by another name. */
  readonly name?: string | undefined;
}

export interface NodeClientOptions {
  /** Belongs to one client; one process at a time. */
  readonly folder: string;
  readonly server: Server;
  readonly userName: string;
  readonly inviteCode?: string | undefined;
  readonly report?: ((error: unknown) => void) | undefined;
  /** Told before the first registration, which needs the homeserver. */
  readonly registering?: (() => void) | undefined;
  /** What its calls go through: for whoever watches them. */
  readonly around?: ((way: Transport) => Transport) | undefined;
}

export interface NodeClient extends AsyncDisposable {
  readonly client: Client;
}

/** Opens the client of a folder, or registers one there. Everything is closed with it. */
export async function openNodeClient(options: NodeClientOptions): Promise<NodeClient> {
  const { folder, server, userName, inviteCode, report, registering } = options;
  const { around = (way) => way } = options;
  await using opened = new AsyncDisposableStack();
  const store = opened.use(NodeStore.open(folder));
  const channel = opened.use(connect(server.address, securityOf(server)));
  const ports = { store, transport: around(channel), crypto: nodeCrypto, report };
  const known = await Client.userIn(store);
  if (known === undefined) registering?.();
  else refuseOther(known, userName, folder);
  const client = opened.use(
    known === undefined
      ? await Client.register({ ...ports, userName, inviteCode })
      : await Client.open(ports),
  );
  const all = opened.move();
  return { client, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

function securityOf({ isTls, ca, name }: Server): ConnectOptions {
  if (!isTls) return {};
  return { tls: { ...(ca === undefined ? {} : { ca }), ...(name === undefined ? {} : { name }) } };
}

/** A folder belongs to one user for ever. */
function refuseOther(known: string, wanted: string, folder: string): void {
  const home = parseDomain(known.slice(known.indexOf('@') + 1));
  if (printUserName(parseUserName(wanted, home)) === known) return;
  throw new CannotStart(`${folder} belongs to ${known}: give another folder (--data)`);
}
