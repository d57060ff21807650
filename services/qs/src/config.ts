import type { Domain } from '@roost/core/ids';
import { DAY_MS, MINUTE_MS, SECOND_MS } from '@roost/core/time';

export interface QsConfig {
  readonly domain: Domain;
  /** 32 bytes that are not in the database: they seal the ratchets and key the marks. */
  readonly secretKey: Uint8Array;
  /** From outside the database; grows with each restored backup. */
  readonly incarnation?: number;
  readonly limits?: Partial<QsLimits> | undefined;
}

export interface QsLimits {
  /** Unread messages of a queue; beyond, it takes a gap marker and nothing more. */
  readonly queueCountMax: number;
  readonly queueBytesMax: number;
  /** How many more a full queue takes, if they are Welcomes. */
  readonly welcomeHeadroom: number;
  /** After so many runs the ratchet is refreshed by a new secret. */
  readonly runsPerSecret: number;
  readonly queueTtlMs: number;
  readonly clientsMax: number;
  readonly handlesMax: number;
  readonly poolMax: number;
  readonly lastResortMax: number;
  /** The owner is told once when fewer single-use packages remain. */
  readonly lowWater: number;
  readonly listenersMax: number;
  readonly keepAliveMs: number;
  readonly pollMs: number;
  readonly sweepMs: number;
  /** Listeners are told to reconnect within this time when the process is drained. */
  readonly reconnectWithinMs: number;
  /** How long they may take to leave before their streams end. */
  readonly drainMs: number;
  /** How long after a message a push tells of it: whoever is there reads it by itself. */
  readonly pushDelayMs: number;
  readonly pushRetryMs: number;
  /** Clients that wait for a push; beyond, they are told by a later message. */
  readonly pushesWaitingMax: number;
}

export const defaultLimits: QsLimits = {
  queueCountMax: 10_000,
  queueBytesMax: 64 * 1024 * 1024,
  welcomeHeadroom: 1_000,
  runsPerSecret: 128,
  queueTtlMs: 90 * DAY_MS,
  clientsMax: 10,
  handlesMax: 20_000,
  poolMax: 500,
  lastResortMax: 5,
  lowWater: 20,
  listenersMax: 50_000,
  keepAliveMs: 25 * SECOND_MS,
  pollMs: 30 * SECOND_MS,
  sweepMs: 5 * MINUTE_MS,
  reconnectWithinMs: 5 * SECOND_MS,
  drainMs: 500,
  pushDelayMs: 1 * SECOND_MS,
  pushRetryMs: 2 * SECOND_MS,
  pushesWaitingMax: 10_000,
};
