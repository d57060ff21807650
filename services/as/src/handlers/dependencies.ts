import type { Bell } from '@roost/bus/ports';
import { assert } from '@roost/core/assert';
import { Failure, malformed } from '@roost/core/failure';
import { printId, type ClientId, type Domain } from '@roost/core/ids';
import { type Clock, MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { readAuthority } from '@roost/identity/authority';
import { verifyConnectionPackage } from '@roost/identity/connection';
import type { Database } from '@roost/postgres/database';
import type { Executor } from '@roost/postgres/executor';
import type { CallContext } from '@roost/rpc/service';

import type { DirectQueueLimits } from '../domain/direct-queue.ts';
import type { Events } from '../events.ts';
import type { Listeners } from '../listening.ts';
import type { Signing } from '../signing.ts';
import { spendNonce } from '../store/nonces.ts';

export interface Dependencies {
  readonly signing: Signing;
  /** Wakes whoever listens to a direct queue. A lost ring loses no message. */
  readonly bell: Bell;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly database: Database;
  readonly domain: Domain;
  readonly events: Events;
  readonly limits: DirectQueueLimits;
  readonly listeners: Listeners;
  /** What the name of a user is remembered by once the user is deleted. */
  readonly nameTag: (userName: string) => Uint8Array;
  readonly registration: 'open' | 'invite';
}

/** Longer than a signed request is good, seen from either side. */
const NONCE_MS = 10 * MINUTE_MS;

/** Refuses a signed request that was seen before: done again, it would undo what came after it. */
export async function spendOnce(
  tx: Executor,
  { proof }: CallContext,
  { clock }: Pick<Dependencies, 'clock'>,
): Promise<void> {
  assert(proof !== undefined, 'the rule of this method asks for a signature');
  await spendNonce(tx, proof.nonce, new Date(clock.now() + NONCE_MS));
}

/** Refuses what belongs to another homeserver. */
export function requireLocal<T extends { readonly domain: Domain }>(id: T, home: Domain): T {
  if (id.domain === home) return id;
  throw new Failure(
    'FEDERATION_DENIED',
    `${id.domain} is another homeserver: this one has users of ${home} alone`,
  );
}

/** Refuses a connection package that is not the caller's own, signed by it, and good for a while. */
export async function checkConnectionPackage(
  bytes: Uint8Array,
  clientId: ClientId,
  { clock, crypto, domain, signing }: Dependencies,
): Promise<void> {
  const authority = readAuthority(crypto, domain, await signing.published());
  const made = verifyConnectionPackage(crypto, bytes, authority, clock.now());
  if (printId(made.credential.clientId) !== printId(clientId)) {
    throw malformed('connection_package', 'is of another client');
  }
  if (made.standing !== 'valid') throw malformed('connection_package', `is ${made.standing}`);
}
