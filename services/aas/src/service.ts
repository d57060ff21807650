import type { Domain } from '@roost/core/ids';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, sleep, type Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { TokenClass } from '@roost/identity/issuer-keys';
import type { Database } from '@roost/postgres/database';
import { enterIncarnation } from '@roost/postgres/incarnation';
import { AuthorizationDefinition } from '@roost/proto/envoy/service/auth/v3/external_auth';
import { RateLimitServiceDefinition } from '@roost/proto/envoy/service/ratelimit/v3/rls';
import type { AuthenticationInternalServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { LimitInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/limits';
import { TokenAdminServiceDefinition } from '@roost/proto/roost/tokens/v1/admin';
import {
  TokenInternalServiceDefinition,
  TokenServiceDefinition,
} from '@roost/proto/roost/tokens/v1/tokens';
import type { Bucket, Limiter } from '@roost/rpc/address-limit';
import { bind, type Claimant, type Client, type ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import { Accounts } from './accounts.ts';
import { periodOf } from './domain/allowance.ts';
import {
  FEDERATED_RATES,
  federatedBuckets,
  type FederatedRates,
} from './domain/federated-buckets.ts';
import { authorizationHandlers, rateLimitHandlers } from './handlers/edge.ts';
import { limitHandlers } from './handlers/limits.ts';
import { eventsOf, observeAas } from './events.ts';
import { Gate } from './gate.ts';
import { tokenHandlers, tokenInternalHandlers } from './handlers/tokens.ts';
import { tokenAdminHandlers } from './handlers/admin.ts';
import { Issuance } from './issuance.ts';
import { dropAllKeys, KeyRing } from './key-ring.ts';
import { KeySets } from './key-sets.ts';
import { classOf } from './rules.ts';
import { Spender } from './spender.ts';
import * as store from './store.ts';

export interface AasConfig {
  readonly domain: Domain;
  /** Tokens of each class that an account may draw a day, where the operator set nothing for it. */
  readonly quantities: Readonly<Record<TokenClass, number>>;
  /** Threads that issue; fewer than there are cores, so that one is left to those who check. */
  readonly issuerThreads: number;
  /** 32 bytes: seals the issuer keys and hides the accounts. */
  readonly secretKey: Uint8Array;
  /** From outside the database; grows with each restored backup. */
  readonly incarnation?: number;
  /** What one address may ask for without a token, over all edges; `EXEMPT_BUCKET`. */
  readonly exemptBucket?: Bucket | undefined;
  /** What other homeservers may do a second; `FEDERATED_RATES`. */
  readonly federatedRates?: FederatedRates | undefined;
}

export interface AasPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** Shared by all replicas. */
  readonly limiter: Limiter;
  readonly log: Log;
  readonly authentication: Client<typeof AuthenticationInternalServiceDefinition>;
}

export const migrations = new URL('../migrations/', import.meta.url);

/** Opens the AAS: its keys are there and its rotation runs when this resolves. */
export async function openAas(config: AasConfig, ports: AasPorts) {
  const { domain, secretKey, quantities } = config;
  const { authentication, clock, crypto, database, limiter, log } = ports;
  const events = eventsOf(log);
  const isRestored = await enterIncarnation(database, config.incarnation ?? 1, async (tx) => {
    // Tokens that were spent after the backup would be good again.
    await dropAllKeys(tx);
  });
  if (isRestored) events.restored();
  const ring = new KeyRing({ ...ports, secretKey, threads: config.issuerThreads });
  await ring.rotate();

  const spender = new Spender(database);
  const gate = new Gate({ ring, spender, classOf, domain, crypto, events });
  const accounts = new Accounts({ quantities, getClient: authentication.getClient });
  const keySets = new KeySets({
    clock,
    crypto,
    database,
    domain,
    keys: () => ring.published(),
    secretKey,
    sign: authentication.signIssuerKeys,
  });
  const issuance = new Issuance(
    { ...ISSUANCE, atOnce: AHEAD * config.issuerThreads },
    events.batchRefused,
  );
  const shared = {
    accounts,
    clock,
    crypto,
    database,
    domain,
    events,
    gate,
    issuance,
    keySets,
    ring,
    secretKey,
  };
  const keyOf = async ({ client }: Claimant) => {
    // Only who draws tokens signs here: who has to come back later costs not even a look at its key.
    issuance.assertRoom();
    return client && (await accounts.standing(client))?.signatureKey;
  };
  const options = { audience: domain, clock, crypto };
  const buckets = federatedBuckets(config.federatedRates ?? FEDERATED_RATES);
  const counting = { limiter, bucket: config.exemptBucket };
  const bindings: ServiceBinding[] = [
    bind(TokenServiceDefinition, tokenHandlers(shared), { ...options, keyOf }),
    bind(TokenAdminServiceDefinition, tokenAdminHandlers(shared), options),
    bind(TokenInternalServiceDefinition, tokenInternalHandlers(gate), options),
    bind(AuthorizationDefinition, authorizationHandlers(gate), options),
    bind(RateLimitServiceDefinition, rateLimitHandlers(counting), options),
    bind(LimitInternalServiceDefinition, limitHandlers({ clock, limiter, buckets }), options),
  ];

  const observed = observeAas({ ring, database, issuance });
  const stop = new AbortController();
  const rotating = keepRotating(ring, ports, events, stop.signal);
  const close = async (): Promise<void> => {
    stop.abort();
    observed[Symbol.dispose]();
    await rotating;
    await ring[Symbol.asyncDispose]();
  };
  return { bindings, close };
}

/** An operator may have changed the keys at another replica. */
const LOOK_MS = 10 * SECOND_MS;
/** While one batch of a thread is signed, the next is charged. */
const AHEAD = 2;
/** What waits is over within a few seconds, 36 ms a full batch. */
const ISSUANCE = { waitingMax: 64 };

/** Every few minutes: a key begins, ends or retires on a day's scale, but when an operator says so. */
async function keepRotating(
  ring: KeyRing,
  { clock, database }: AasPorts,
  events: ReturnType<typeof eventsOf>,
  signal: AbortSignal,
): Promise<void> {
  let swept = 0;
  let rotated = clock.now();
  for (;;) {
    await sleep(LOOK_MS, signal);
    if (signal.aborted) return;
    try {
      await ring.refresh();
      if (clock.now() - rotated < 5 * MINUTE_MS) continue;
      await ring.rotate();
      rotated = clock.now();
      if (clock.now() - swept > HOUR_MS) {
        await store.forgetAllowances(database, periodOf(clock.now()) - 1);
        await store.forgetSigned(database, new Date(clock.now() - DAY_MS));
        swept = clock.now();
      }
    } catch (error) {
      events.rotationFailed(error);
    }
  }
}
