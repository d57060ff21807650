import type { Bell } from '@roost/bus/ports';
import { Failure, malformed } from '@roost/core/failure';
import { printId, type ClientId, type Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { readAuthority } from '@roost/identity/authority';
import { verifyConnectionPackage } from '@roost/identity/connection';
import type { Database } from '@roost/postgres/database';

import type { DirectQueueLimits } from '../domain/direct-queue.ts';
import type { Events } from '../events.ts';
import type { Listeners } from '../listening.ts';
import type { Signing } from '../signing.ts';

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
  readonly registration: 'open' | 'invite';
}

/** Refuses what belongs to another homeserver. */
export function requireLocal<T extends { readonly domain: Domain }>(id: T, home: Domain): T {
  if (id.domain === home) return id;
  throw new Failure(
    'FEDERATION_DENIED',
    'federation is not configured: this homeserver serves its own domain only',
  );
}

/** Refuses a connection package that is not the caller's own, signed by it, and good for a while. */
export function checkConnectionPackage(
  bytes: Uint8Array,
  clientId: ClientId,
  { clock, crypto, domain, signing }: Dependencies,
): void {
  const authority = readAuthority(crypto, domain, signing.published);
  const made = verifyConnectionPackage(crypto, bytes, authority, clock.now());
  if (printId(made.credential.clientId) !== printId(clientId)) {
    throw malformed('connection_package', 'is of another client');
  }
  if (made.standing !== 'valid') throw malformed('connection_package', `is ${made.standing}`);
}
