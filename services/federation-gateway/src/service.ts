import type { Bell, Bus } from '@roost/bus/ports';
import type { Domain } from '@roost/core/ids';
import { type Clock, DAY_MS, MINUTE_MS, SECOND_MS, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Directory } from '@roost/federation/directory';
import type { Network } from '@roost/federation/address';
import type { Database } from '@roost/postgres/database';
import { enterIncarnation } from '@roost/postgres/incarnation';
import { FederationAdminServiceDefinition } from '@roost/proto/roost/federation/v1/admin';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import type { Transport } from '@roost/rpc/call';
import type { Page } from '@roost/rpc/pages';
import { bind, type ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import { adminHandlers, type AdminPorts } from './handlers/admin.ts';
import { Channels, type ChannelsPorts } from './channels.ts';
import { Certificates, type MutualMode, Shown } from './certificates.ts';
import { Crowd } from './crowd.ts';
import { fetchDocument } from './discovery/document.ts';
import type { Resolve } from './discovery/lookup.ts';
import { Door } from './door.ts';
import { doorstep, type DoorstepPorts } from './doorstep.ts';
import { federationEvents, type FederationEvents, observeFederation } from './events.ts';
import { callHandler, type CallPorts } from './handlers/call.ts';
import { deliverHandler, type DeliverPorts } from './handlers/deliver.ts';
import { forwardHandlers, type ForwardPorts } from './handlers/forward.ts';
import { Ledger } from './ledger.ts';
import type { Limits } from './limits.ts';
import {
  openOutbox,
  outboxDefaults,
  type OutboxConfig,
  type OutboxPorts,
} from './outbox/outbox.ts';
import { forgetDirectory } from './store/keys.ts';
import { OwnKeys } from './own-keys.ts';
import { Peers } from './peers.ts';
import { Policy } from './policy.ts';
import { forgetSearches } from './store/searches.ts';
import { pageOf } from './well-known.ts';

export interface FederationConfig {
  readonly domain: Domain;
  /** 32 bytes: seals the federation keys. */
  readonly secretKey: Uint8Array;
  /** From outside the database; grows with each restored backup. */
  readonly incarnation?: number;
  /** What the directory says: where peers reach us, and which versions we speak. */
  readonly about: Pick<Directory, 'endpoint' | 'protocol'>;
  /** Whether homeservers show each other certificates; `preferred` where nothing is said. */
  readonly mtls?: MutualMode | undefined;
  /** Blocks of addresses that peers may have besides those of the public internet. */
  readonly allowed: readonly Network[];
  /** Where the well-known address is answered. */
  readonly wellKnownPort: number;
  /** How long the record of what was accepted is kept. */
  readonly auditDays: number;
  /** What may wait for another homeserver, and for how long; `outboxDefaults` where nothing is said. */
  readonly outbox?: OutboxConfig['outbox'] | undefined;
  /** How what waits is tried again; as homeservers do where nothing is said. */
  readonly timing?: OutboxConfig['timing'];
}

export interface FederationPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** To our own QS. */
  readonly bus: Bus;
  /** From our own DS: what it has for other homeservers. */
  readonly federationBus: Bus;
  /** Of the gateway: rings where another replica has something to carry. */
  readonly bell: Bell;
  /** Names this replica, and is drawn otherwise. */
  readonly replica?: string | undefined;
  /** Where what goes out may be made to fail. */
  readonly faults?: OutboxPorts['faults'];
  /** 32 bytes, shared with DS and QS. */
  readonly transportKey: Uint8Array;
  readonly limits: Limits;
  /** To our own services, in the name of the gateway, by their names. */
  readonly services: ReadonlyMap<string, Transport>;
  /** Whom we believe, PEM: authorities of servers, authorities of client certificates; and what we show. */
  readonly trust: ChannelsPorts['trust'] & {
    readonly clientCa?: string | undefined;
    /** What we show, where it is renewed while we run. */
    readonly reread?: () => Promise<ChannelsPorts['trust']['certificate']>;
  };
  /** Another way to look names up than the machine's. */
  readonly resolve?: Resolve | undefined;
  readonly log: Log;
}

export interface FederationService {
  readonly bindings: readonly ServiceBinding[];
  /** What signs, and what says so to others. */
  readonly keys: Pick<OwnKeys, 'signer' | 'directory'>;
  /** What stands at the well-known address. */
  readonly directoryPage: () => Page;
  close(): Promise<void>;
}

/** Whoever sends more slowly is no homeserver, or none that is well. */
const BODY_MS = 10 * SECOND_MS;

export const migrations = new URL('../migrations/', import.meta.url);

/** Opens the gateway on a database that is migrated: its keys are there when this resolves. */
export async function openFederation(
  config: FederationConfig,
  ports: FederationPorts,
): Promise<FederationService> {
  const { domain: home, allowed, mtls = 'preferred', secretKey } = config;
  const { database, crypto, clock, resolve } = ports;
  const { clientCa, ...trust } = mtls === 'off' ? { ca: ports.trust.ca } : ports.trust;
  const shown = new Shown(trust);
  const about = { ...config.about, pins: shown.pins };
  const events = federationEvents(ports.log);
  // Peers have read a later directory than a restored one: another is signed.
  if (await enterIncarnation(database, config.incarnation ?? 1, forgetDirectory)) events.restored();
  const keys = new OwnKeys({ ...ports, domain: home, about, secretKey });
  await keys.rotate();

  const policy = new Policy(database, home);
  const reach = { allowed, resolve };
  const { protocol } = about;
  const published = { port: config.wellKnownPort, ca: trust.ca, ...reach };
  const fetched = async (domain: Domain, signal?: AbortSignal) =>
    await fetchDocument(domain, { ...published, signal });
  const peers = new Peers({
    ...{ database, crypto, clock, home, protocol, events, fetchDocument: fetched },
  });
  const ledger = new Ledger(ports);
  const certificates = new Certificates(mtls, clientCa, clock);
  const channels = new Channels({ clock, home, ...reach, trust });
  const outbox = openOutbox(
    { domain: home, secretKey, outbox: config.outbox ?? outboxDefaults, timing: config.timing },
    { ...ports, policy, peers, channels, keys },
  );
  const { heard } = outbox;
  const door = new Door({ ...ports, home, policy, certificates, peers, ledger, events, heard });
  const crowd = new Crowd();
  const parts = { policy, peers, channels, keys, events, certificates, crowd, outbox };
  const bindings = bindingsOf({
    ...{ ...ports, ...parts, home, door, reach, protocol },
    fetchDocument: fetched,
  });

  const observed = observeFederation(database, crowd);
  const rope = keys.follow((error) => events.troubled('keys', error));
  const stop = new AbortController();
  const working = work(stop.signal, {
    keys: async () => await look({ shown, channels, keys }),
    sweep: async () => {
      await ledger.sweep(config.auditDays * DAY_MS);
      await forgetSearches(database, clock.now() - DAY_MS);
    },
    troubled: events.troubled,
  });
  return {
    bindings,
    keys,
    directoryPage: () => pageOf(keys.directory),
    async close() {
      stop.abort();
      rope.close();
      observed[Symbol.dispose]();
      await outbox.close();
      channels[Symbol.dispose]();
      await Promise.all([working, ledger.close(), peers.close()]);
    },
  };
}

/** What peers, our services and the operator may call. */
function bindingsOf(
  ports: CallPorts & DeliverPorts & ForwardPorts & AdminPorts & DoorstepPorts,
): ServiceBinding[] {
  const { home, clock, crypto } = ports;
  const options = { audience: home, clock, crypto };
  return [
    bind(
      PeerServiceDefinition,
      { call: callHandler(ports), deliver: deliverHandler(ports) },
      { ...options, admit: doorstep(ports), bodyMs: BODY_MS },
    ),
    bind(FederationInternalServiceDefinition, forwardHandlers(ports), options),
    bind(FederationAdminServiceDefinition, adminHandlers(ports), options),
  ];
}

/** Shows what was renewed meanwhile, and loads what other replicas changed. */
async function look({
  shown,
  channels,
  keys,
}: {
  readonly shown: Shown;
  readonly channels: Channels;
  readonly keys: OwnKeys;
}): Promise<void> {
  if (await shown.renew()) {
    channels.show(shown.certificate);
    keys.pin(shown.pins);
  }
  await keys.rotate();
}

/** Every minute, also where a bell was not heard: a key that another replica revoked signs no more here either. */
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
