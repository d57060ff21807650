import type { Bus } from '@roost/bus/ports';
import type { Domain } from '@roost/core/ids';
import { type Clock, DAY_MS, MINUTE_MS, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Directory } from '@roost/federation/directory';
import type { Network } from '@roost/federation/address';
import type { Database } from '@roost/postgres/database';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import type { Transport } from '@roost/rpc/call';
import { bind, type ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import { Channels, type ChannelsPorts } from './channels.ts';
import { fetchDocument } from './discovery/document.ts';
import type { Resolve } from './discovery/lookup.ts';
import { Door } from './door.ts';
import { federationEvents, type FederationEvents, observeFederation } from './events.ts';
import { callHandler } from './handlers/call.ts';
import { deliverHandler } from './handlers/deliver.ts';
import { forwardHandlers } from './handlers/forward.ts';
import { Ledger } from './ledger.ts';
import type { Limits } from './limits.ts';
import { OwnKeys } from './own-keys.ts';
import { Peers } from './peers.ts';
import { Policy } from './policy.ts';
import { forgetSearches } from './store/peers.ts';

export interface FederationConfig {
  readonly domain: Domain;
  /** 32 bytes: seals the federation keys. */
  readonly secretKey: Uint8Array;
  /** What the directory says: where peers reach us, which versions, which client certificates. */
  readonly about: Pick<Directory, 'endpoint' | 'protocol' | 'pins'>;
  /** Blocks of addresses that peers may have besides those of the public internet. */
  readonly allowed: readonly Network[];
  /** Where the well-known address is answered. */
  readonly wellKnownPort: number;
  /** How long the record of what was accepted is kept. */
  readonly auditDays: number;
}

export interface FederationPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** To our own QS. */
  readonly bus: Bus;
  /** 32 bytes, shared with DS and QS. */
  readonly transportKey: Uint8Array;
  readonly limits: Limits;
  /** To our own services, in the name of the gateway, by their names. */
  readonly services: ReadonlyMap<string, Transport>;
  /** Whom we believe, and what we show. */
  readonly trust: ChannelsPorts['trust'];
  /** Another way to look names up than the machine's. */
  readonly resolve?: Resolve | undefined;
  readonly log: Log;
}

export interface FederationService {
  readonly bindings: readonly ServiceBinding[];
  /** What signs, and what stands at the well-known address. */
  readonly keys: Pick<OwnKeys, 'signer' | 'directory'>;
  close(): Promise<void>;
}

export const migrations = new URL('../migrations/', import.meta.url);

/** Opens the gateway on a database that is migrated: its keys are there when this resolves. */
export async function openFederation(
  config: FederationConfig,
  ports: FederationPorts,
): Promise<FederationService> {
  const { domain: home, about, allowed } = config;
  const { database, crypto, clock, trust, resolve } = ports;
  const events = federationEvents(ports.log);
  const keys = new OwnKeys({ ...ports, domain: home, about, secretKey: config.secretKey });
  await keys.rotate();

  const policy = new Policy(database, home);
  const found = { port: config.wellKnownPort, ca: trust.ca, allowed, resolve };
  const peers = new Peers({
    ...{ database, crypto, clock, home, protocol: about.protocol, events },
    fetchDocument: async (domain) => await fetchDocument(domain, found),
  });
  const ledger = new Ledger(ports);
  const door = new Door({ ...ports, home, policy, peers, ledger, events });
  const channels = new Channels({ clock, allowed, resolve, trust });
  const common = { ...ports, home, door, policy, peers, channels, keys, events };
  const options = { audience: home, clock, crypto };
  const bindings = [
    bind(
      PeerServiceDefinition,
      { call: callHandler(common), deliver: deliverHandler(common) },
      options,
    ),
    bind(FederationInternalServiceDefinition, forwardHandlers(common), options),
  ];

  const observed = observeFederation(database);
  const stop = new AbortController();
  const working = work(stop.signal, {
    keys: async () => await keys.rotate(),
    sweep: async () => {
      await ledger.sweep(config.auditDays * DAY_MS);
      await forgetSearches(database, clock.now() - DAY_MS);
    },
    troubled: events.troubled,
  });
  return {
    bindings,
    keys,
    async close() {
      stop.abort();
      observed[Symbol.dispose]();
      channels[Symbol.dispose]();
      await Promise.all([working, ledger.close()]);
    },
  };
}

/** Every minute: a key that another replica revoked signs no more here either. */
async function work(
  signal: AbortSignal,
  {
    keys,
    sweep,
    troubled,
  }: {
    readonly keys: () => Promise<void>;
    readonly sweep: () => Promise<void>;
    readonly troubled: FederationEvents['troubled'];
  },
): Promise<void> {
  for (;;) {
    await sleep(MINUTE_MS, signal);
    if (signal.aborted) return;
    await keys().catch((error: unknown) => troubled('keys', error));
    await sweep().catch((error: unknown) => troubled('sweep', error));
  }
}
