import { createServer as createHttps, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';

import { MemoryBell, MemoryBus } from '@roost/bus/memory';
import { type Domain, parseDomain } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type Network, parseNetwork } from '@roost/federation/address';
import { printDirectory } from '@roost/federation/directory';
import { SPOKEN } from '@roost/federation/versions';
import type { Outgoing, Transport } from '@roost/rpc/call';
import { serve } from '@roost/rpc/server';
import { createLog } from '@roost/service/log';
import type { TestClock } from '@roost/testing/clock';
import { freshDatabase } from '@roost/testing/postgres';

import type { MutualMode } from './certificates.ts';
import { type Certificate, makeCertificate } from './discovery/certificates.fixture.ts';
import { DIRECTORY_PATH } from './discovery/document.ts';
import type { Wanted } from './limits.ts';
import {
  type FederationConfig,
  type FederationPorts,
  migrations,
  openFederation,
} from './service.ts';

export const HOMES = ['a.example', 'b.example', 'c.example'].map((name) => parseDomain(name));
const ADDRESSES = new Map(HOMES.map((domain, at) => [domain as string, `127.0.0.${at + 2}`]));
const certificates = new Map<Domain, Certificate>();

/** For its name, as it shows it to whoever calls. */
export function certificateOf(domain: Domain): Certificate {
  const made = certificates.get(domain) ?? makeCertificate(domain, `DNS:${domain}`);
  certificates.set(domain, made);
  return made;
}

/** All of them believe each other's certificates. */
const authority = () => HOMES.map((domain) => certificateOf(domain).cert).join('\n');

/** What reaches the services of a homeserver by its gateway. */
export interface Reached {
  readonly service: string;
  readonly call: Outgoing;
}

/** How what surrounds a gateway behaves. */
interface State {
  answer: () => Promise<Uint8Array>;
  limit: () => Promise<void>;
  /** How often a name was looked up. */
  looked: number;
}

/** What is different about one of those that share a database. */
interface ReplicaOptions extends Pick<FederationConfig, 'outbox' | 'timing'> {
  readonly replica?: string;
  readonly faults?: FederationPorts['faults'];
}

export interface HomeOptions extends ReplicaOptions {
  readonly mtls?: MutualMode;
  /** What it shows to others. */
  readonly shown?: Certificate;
}

/** The gateway of a homeserver, with its listener for others and its well-known address on a loopback of its own. */
export async function openHome(
  domain: Domain,
  clock: TestClock,
  wellKnownPort: number,
  { mtls = 'preferred', shown, ...out }: HomeOptions = {},
) {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await freshDatabase(migrations));
  const address = ADDRESSES.get(domain) ?? '';
  const [reached, taken]: [Reached[], Wanted[]] = [[], []];
  const state: State = {
    answer: async () => Uint8Array.of(1),
    limit: async () => undefined,
    looked: 0,
  };
  const transportOf = (service: string): Transport => ({
    unary: async (call) => {
      reached.push({ service, call });
      return await state.answer();
    },
    async *stream() {},
  });
  const log = createLog('federation-gateway', 'error');
  const bus = new MemoryBus();
  const [transportKey, secretKey] = [crypto.random(32), crypto.random(32)];
  const tls = certificateOf(domain);
  const port = await freePort(address);
  const bell = new MemoryBell();
  /** One of those that share its database, with a bus from the DS of its own. */
  const openReplica = async (how: ReplicaOptions) => {
    const federationBus = new MemoryBus();
    const opened = await openFederation(configOf(how), portsOf(how, federationBus));
    return { ...opened, federationBus };
  };
  const configOf = ({ outbox, timing }: ReplicaOptions): FederationConfig => ({
    ...{ domain, secretKey, wellKnownPort, auditDays: 30, mtls, outbox, timing },
    about: { endpoint: { host: `federation.${domain}`, port }, protocol: SPOKEN },
    allowed: [parseNetwork('127.0.0.0/8')] as Network[],
  });
  const portsOf = (
    { replica, faults }: ReplicaOptions,
    federationBus: MemoryBus,
  ): FederationPorts => ({
    ...{ database, crypto, clock, bus, federationBus, bell, replica, faults, transportKey },
    limits: {
      take: async (_, wanted) => {
        taken.push(wanted);
        await state.limit();
      },
    },
    services: new Map(['as', 'qs', 'ds'].map((name) => [name, transportOf(name)])),
    trust: { ca: authority(), certificate: shown },
    resolve: async (name) => {
      state.looked++;
      const found = ADDRESSES.get(name.replace(/^federation\./, ''));
      return found === undefined ? [] : [{ address: found, family: 4 }];
    },
    log,
  });
  const gateway = await openReplica(out);
  stack.defer(async () => await gateway.close());
  const listen = async () =>
    await serve({
      ...{ listen: { host: address, port }, tls, callers: 'peer', bindings: gateway.bindings },
      asksForCertificate: mtls !== 'off',
      log,
    });
  const listener = await listen();
  let present: typeof listener | undefined = listener;
  const goDown = async (): Promise<void> => {
    await present?.close(0);
    present = undefined;
  };
  const comeBack = async (): Promise<void> => {
    present = await listen();
  };
  stack.defer(goDown);
  const wellKnown = await serveDirectory(address, wellKnownPort, tls, () => gateway.keys.directory);
  stack.defer(() => {
    wellKnown.close();
    wellKnown.closeAllConnections();
  });
  const opened = stack.move();
  return {
    ...{ domain, database, gateway, openReplica, reached, taken, state, bus, bell },
    ...{ secretKey, transportKey, listener, goDown, comeBack },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** A port that nobody has on this address. */
export async function freePort(address: string): Promise<number> {
  const server = createHttps();
  await new Promise<void>((resolve) => {
    server.listen(0, address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

async function serveDirectory(
  address: string,
  port: number,
  { cert, key }: Certificate,
  directory: () => Uint8Array,
): Promise<Server> {
  const server = createHttps({ cert, key }, ({ url }, response) => {
    if (url !== DIRECTORY_PATH) response.writeHead(404).end();
    else {
      const head = { 'content-type': 'application/json' };
      response.writeHead(200, head).end(printDirectory(directory()));
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  return server;
}
