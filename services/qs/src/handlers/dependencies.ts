import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import type { Handlers } from '@roost/rpc/service';
import type { QsLimits } from '../config.ts';
import type { QsEvents } from '../events.ts';
import type { SecretKeys } from '../keys.ts';
import type { Listeners } from '../listeners.ts';
import type { QueueWriter } from '../queue-writer.ts';
import type { Push } from '../push.ts';
import type { Records } from '../records.ts';

/** What the handlers stand on. */
export interface Dependencies {
  readonly domain: Domain;
  readonly limits: QsLimits;
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly keys: SecretKeys;
  readonly records: Records;
  readonly writer: QueueWriter;
  readonly listeners: Listeners;
  readonly push: Push;
  readonly events: QsEvents;
}

export type QueueHandlers = Handlers<typeof QueueServiceDefinition>;
