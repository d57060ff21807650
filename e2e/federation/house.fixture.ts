import { type AddressInfo, createServer, isIP } from 'node:net';
import { migrations as aasMigrations } from '@roost/aas/service';
import { migrations as asMigrations } from '@roost/as/service';
import { type Domain, parseDomain } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import type { Crypto } from '@roost/crypto/crypto';
import { migrations as dsMigrations } from '@roost/ds/service';
import type { Door } from '@roost/e2e/door';
import { dump } from '@roost/e2e/dump';
import { parseNetwork } from '@roost/federation/address';
import { SPOKEN, type VersionRange } from '@roost/federation/versions';
import type { MutualMode } from '@roost/federation-gateway/certificates';
import { migrations } from '@roost/federation-gateway/service';
import { dropListing, type Kind, putListing } from '@roost/federation-gateway/store/policy';
import { openServices } from '@roost/homeserver/services';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { migrations as qsMigrations } from '@roost/qs/service';
import { type Client, clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { serve } from '@roost/rpc/server';
import type { Log } from '@roost/service/log';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';
import { type Certificate, makeCertificate } from './certificates.fixture.ts';

/** What the names of a test stand for, as long as nobody changes it. */
export type Names = Map<string, readonly string[] | (() => readonly string[])>;

export interface HouseOptions {
  readonly domain: string;
  readonly address: string;
  readonly wellKnownPort: number;
  /** Whom it believes, PEM. */
  readonly ca: readonly string[];
  readonly names: Names;
  readonly certificate?: Certificate;
  readonly protocol?: VersionRange;
  readonly mtls?: MutualMode;
}

/**
 * The homeserver that is tried: its services, its gateway and its listener for other homeservers, over databases
 * of its own. What is looked up is written down, and what its gateway signs is counted.
 */
export class House implements AsyncDisposable {
  readonly domain: Domain;
  readonly address: string;
  readonly port: number;
  readonly databases: ReadonlyMap<string, FreshDatabase>;
  /** Names, as often as they were looked up. */
  readonly looked: string[];
  /** How often a key of the gateway's signed something. */
  readonly signed: () => number;
  /** Where its clients reach it. */
  readonly door: Door;
  /** As its DS asks its gateway to carry a request elsewhere. */
  readonly forward: Client<typeof FederationInternalServiceDefinition>['forward'];
  readonly #stack: AsyncDisposableStack;

  private constructor(made: Made, { domain, address }: HouseOptions) {
    this.domain = parseDomain(domain);
    this.address = address;
    this.port = made.port;
    this.databases = made.databases;
    this.looked = made.looked;
    this.signed = made.signed;
    this.door = made.door;
    this.forward = made.forward;
    this.#stack = made.stack;
  }

  static async open(options: HouseOptions): Promise<House> {
    return new House(await make(options), options);
  }

  get database(): FreshDatabase {
    const found = this.databases.get('federation');
    if (found === undefined) throw new Error('the gateway has a database');
    return found;
  }

  async list(domain: string, kind: Kind): Promise<void> {
    const listing = { kind, endpoint: '', note: '', sinceMs: Date.now() };
    await putListing(this.database, { domain: parseDomain(domain), ...listing });
  }

  async unlist(domain: string): Promise<void> {
    await dropListing(this.database, parseDomain(domain));
  }

  /** All rows of all tables of all services, by `service.table`. */
  async dump(): Promise<Map<string, string>> {
    const all = await Promise.all(
      [...this.databases].map(async ([name, database]) => [name, await dump(database)] as const),
    );
    return new Map(
      all.flatMap(([name, tables]) =>
        [...tables].map(([table, rows]) => [`${name}.${table}`, rows.join('\n')] as const),
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

interface Made {
  readonly port: number;
  readonly databases: ReadonlyMap<string, FreshDatabase>;
  readonly looked: string[];
  readonly signed: () => number;
  readonly door: Door;
  readonly forward: House['forward'];
  readonly stack: AsyncDisposableStack;
}

const MIGRATIONS = {
  ...{ as: asMigrations, aas: aasMigrations, qs: qsMigrations, ds: dsMigrations },
  federation: migrations,
};

async function make(options: HouseOptions): Promise<Made> {
  await using stack = new AsyncDisposableStack();
  const domain = parseDomain(options.domain);
  const secrets = new Map<string, Uint8Array>();
  const secret = (purpose: string): Uint8Array => {
    const drawn = secrets.get(purpose) ?? nodeCrypto.random(32);
    secrets.set(purpose, drawn);
    return drawn;
  };
  const databases = new Map<string, FreshDatabase>();
  for (const [name, from] of Object.entries(MIGRATIONS)) {
    databases.set(name, stack.use(await freshDatabase(from)));
  }
  const of = (name: string): FreshDatabase => {
    const found = databases.get(name);
    if (found === undefined) throw new Error(`there is a database for ${name}`);
    return found;
  };
  const looked: string[] = [];
  const port = await freePort(options.address);
  const { crypto, signed } = counting();
  const services = stack.use(
    await openServices({
      home: { domain, incarnation: 1, secret: async (name) => secret(name) },
      ...{ databases: { of }, registration: 'open', log: silent },
      quantities: { general: 100_000, contact: 10_000 },
      federation: {
        ...{ database: of('federation'), crypto },
        config: {
          ...{ wellKnownPort: options.wellKnownPort, auditDays: 30, mtls: options.mtls },
          about: {
            endpoint: { host: options.domain, port },
            protocol: options.protocol ?? SPOKEN,
          },
          allowed: [parseNetwork('127.0.0.0/8')].filter((network) => network !== undefined),
        },
        ports: {
          trust: { ca: options.ca.join('\n') },
          resolve: async (name) => {
            looked.push(name);
            const found = options.names.get(name) ?? [];
            return (typeof found === 'function' ? found() : found).map((address) => ({
              ...{ address, family: isIP(address) },
            }));
          },
        },
      },
    }),
  );
  const tls =
    options.certificate ??
    makeCertificate({ commonName: options.domain, names: `DNS:${options.domain}` });
  const { bindings, gate, limiter } = services;
  const peers = await serve({
    ...{ listen: { host: options.address, port }, tls, callers: 'peer', bindings, log: silent },
    asksForCertificate: true,
  });
  stack.defer(async () => await peers.close(0));
  const clients = await serve({
    ...{ listen: { host: options.address, port: 0 }, bindings, gate, limiter, log: silent },
    ...{ callers: 'edge', exemptBucket: { capacity: 10_000, refillPerSecond: 10_000 } },
  });
  stack.defer(async () => await clients.close(0));
  const own = localTransport(bindings, 'ds');
  const { forward } = clientOf(FederationInternalServiceDefinition, own);
  const door = { address: clients.address };
  return { port, databases, looked, signed, door, forward, stack: stack.move() };
}

/** Nobody but the gateway signs with this one. */
function counting(): { crypto: Crypto; signed: () => number } {
  const count = { signed: 0 };
  const { ed25519 } = nodeCrypto;
  const sign: typeof ed25519.sign = (privateKey, message) => {
    count.signed++;
    return ed25519.sign(privateKey, message);
  };
  return { crypto: { ...nodeCrypto, ed25519: { ...ed25519, sign } }, signed: () => count.signed };
}

/** A port that nobody has on this address. */
export async function freePort(address: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

const quiet = (): void => undefined;
const silent: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, named: () => silent };
