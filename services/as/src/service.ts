import type { Bell } from '@roost/bus/ports';
import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { ClientId, Domain } from '@roost/core/ids';
import { HOUR_MS, sleep, type Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import { enterIncarnation } from '@roost/postgres/incarnation';
import {
  AuthenticationAdminServiceDefinition,
  AuthenticationInternalServiceDefinition,
  AuthenticationServiceDefinition,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { Forward } from '@roost/rpc/destination';
import { bind, type Claimant, type ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import type { DirectQueueLimits } from './domain/direct-queue.ts';
import { eventsOf, observeAs } from './events.ts';
import { accountHandlers } from './handlers/accounts.ts';
import { directQueueHandlers } from './handlers/direct-queue.ts';
import { operatorHandlers } from './handlers/admin.ts';
import { internalHandlers } from './handlers/internal.ts';
import { registrationHandlers } from './handlers/registration.ts';
import { Listeners } from './listening.ts';
import { Signing } from './signing.ts';
import { findClient } from './store/clients.ts';
import { forgetMessageIds } from './store/direct-queues.ts';
import { forgetNonces } from './store/nonces.ts';
import { finalizeRestore } from './store/restored.ts';
import { findPendingKey, forgetRegistrations } from './store/registrations.ts';

export interface AsConfig {
  readonly domain: Domain;
  readonly registration: 'open' | 'invite';
  readonly directQueue: DirectQueueLimits;
  /** 32 bytes: seals the private keys at rest. */
  readonly secretKey: Uint8Array;
  /** From outside the database; grows with each restored backup. */
  readonly incarnation?: number;
}

export interface AsPorts {
  readonly bell: Bell;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly database: Database;
  readonly log: Log;
  /** How requests get to other homeservers; absent where none is reached. */
  readonly forward?: Forward | undefined;
}

export const migrations = new URL('../migrations/', import.meta.url);

/** 1,000 messages or 16 MiB lie in a direct queue at most. */
export const DIRECT_QUEUE_LIMITS: DirectQueueLimits = { messagesMax: 1_000n, bytesMax: 16n << 20n };

/** Opens the AS: its keys are there when this resolves. */
export async function openAs(config: AsConfig, ports: AsPorts) {
  const { domain, secretKey, registration } = config;
  const { bell, clock, crypto, database, log, forward } = ports;
  const events = eventsOf(log);
  const isRestored = await enterIncarnation(database, config.incarnation ?? 1, finalizeRestore);
  if (isRestored) events.restored();
  const signing = new Signing({ clock, crypto, database, domain, secretKey });
  await signing.rotate();

  const listeners = new Listeners(bell);
  const limits = config.directQueue;
  const shared = {
    bell,
    clock,
    crypto,
    database,
    domain,
    events,
    limits,
    listeners,
    nameTag: (userName: string) => crypto.hmacSha256(secretKey, utf8(`retired name ${userName}`)),
    registration,
    signing,
  };
  const keyOf = async ({ client }: Claimant, request: unknown) =>
    client && (await findKey(client, request, ports, domain));
  const options = { audience: domain, clock, crypto };
  const clientHandlers = {
    ...accountHandlers(shared),
    ...registrationHandlers(shared),
    ...directQueueHandlers(shared),
  };
  const bindings: ServiceBinding[] = [
    bind(AuthenticationServiceDefinition, clientHandlers, { ...options, keyOf, forward }),
    bind(AuthenticationInternalServiceDefinition, internalHandlers(shared), options),
    bind(AuthenticationAdminServiceDefinition, operatorHandlers(shared), options),
  ];

  const observed = observeAs(signing, database);
  const stop = new AbortController();
  const upkeep = keepUp(signing, ports, events, stop.signal);
  const close = async (): Promise<void> => {
    listeners.drain();
    stop.abort();
    observed[Symbol.dispose]();
    await upkeep;
  };
  return { bindings, close, drain: () => listeners.drain() };
}

/** The key of a client; of one that is not registered yet, for the second step alone. */
async function findKey(
  client: ClientId,
  request: unknown,
  { clock, database }: AsPorts,
  domain: Domain,
): Promise<Uint8Array | undefined> {
  if (client.user.domain !== domain) return undefined;
  const known = await findClient(database, client.user.uuid, client.uuid);
  if (known?.isSuspended === true) throw new Failure('SUSPENDED', 'the account is suspended');
  if (known !== undefined) return known.signatureKey;
  const isSecondStep =
    typeof request === 'object' &&
    request !== null &&
    'registrationId' in request &&
    'connectionPackage' in request;
  return isSecondStep
    ? await findPendingKey(database, client.uuid, new Date(clock.now()))
    : undefined;
}

async function keepUp(
  signing: Signing,
  { clock, database }: AsPorts,
  events: ReturnType<typeof eventsOf>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(HOUR_MS, signal);
    if (signal.aborted) return;
    try {
      const now = new Date(clock.now());
      await signing.rotate();
      await forgetRegistrations(database, now);
      await forgetMessageIds(database, now);
      await forgetNonces(database, now);
    } catch (error) {
      events.upkeepFailed(error);
    }
  }
}
