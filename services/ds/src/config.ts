import type { Domain } from '@roost/core/ids';
import type { RoomKind } from '@roost/mls/roles';
import type { TemplateName } from '@roost/mls/templates';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '@roost/core/time';

/** What an operator may set. Quantities have their defaults in `dsDefaults`. */
export interface DsConfig {
  /** The home domain: the hub of all groups here. */
  readonly domain: Domain;
  readonly limits: DsLimits;
  /**
   * Ciphersuites that groups may have (RFC 9420 §17.1). Requests are signed by leaf keys, and the hub
   * proposes, by Ed25519: suites with other signatures are not for groups here.
   */
  readonly suites: readonly number[];
  /** The policies that the hub proposes to rooms of a kind, by the names of templates. */
  readonly roomPolicies?: Partial<Readonly<Record<RoomKind, TemplateName>>>;
  readonly dispatch: DispatchConfig;
}

export interface DsLimits {
  readonly membersMax: number;
  readonly messageBytesMax: number;
  /** How many epochs an application message may be behind. */
  readonly epochTolerance: number;
  readonly pageBytesMax: number;
  /** How long commits and proposals are kept for members that were away. */
  readonly logDays: number;
  /** How long a joiner may take: as long as KeyPackages live. */
  readonly joinInfoDays: number;
  /** Members that show no life for so many months are proposed for removal. */
  readonly inactiveMonths: number;
  /** Groups that nobody used for so many months are deleted. */
  readonly groupMonths: number;
  /** How often a client may come back by itself, a day. */
  readonly resyncsPerDay: number;
  /** How many rooms the directory holds. */
  readonly publicRoomsMax: number;
  readonly cacheBytesMax: number;
  /** What may wait to be delivered, in rows and in bytes; beyond, senders are asked to come back. */
  readonly outboxRowsMax: number;
  readonly outboxBytesMax: number;
}

export interface DispatchConfig {
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  /** The receiver's answer is waited for between these two, by how long it took lately. */
  readonly timeoutFirstMs: number;
  readonly timeoutMs: number;
  /** After so long, what a replica was carrying when it died or froze is carried by another. */
  readonly leaseMs: number;
  /** How often we look for rows that nobody told us of: another replica may have died. */
  readonly pollMs: number;
  /** How often each group's last number is told, so that a quiet one reveals a loss too. */
  readonly headsMs: number;
  readonly backoffFirstMs: number;
  readonly backoffLastMs: number;
}

const MIB = 1024 * 1024;

export const dsDefaults: Omit<DsConfig, 'domain'> = {
  limits: {
    membersMax: 2_000,
    messageBytesMax: 256 * 1024,
    epochTolerance: 2,
    pageBytesMax: MIB,
    logDays: 90,
    joinInfoDays: 90,
    inactiveMonths: 6,
    groupMonths: 24,
    resyncsPerDay: 3,
    publicRoomsMax: 10_000,
    cacheBytesMax: 256 * MIB,
    outboxRowsMax: 200_000,
    outboxBytesMax: 2_048 * MIB,
  },
  suites: [1, 3],
  dispatch: {
    batchEventsMax: 256,
    batchBytesMax: MIB,
    timeoutFirstMs: 2 * SECOND_MS,
    timeoutMs: 30 * SECOND_MS,
    leaseMs: 4 * SECOND_MS,
    pollMs: 2 * SECOND_MS,
    headsMs: HOUR_MS,
    backoffFirstMs: 20,
    backoffLastMs: 3 * SECOND_MS,
  },
};

/** How often what has expired is deleted. */
export const SWEEP_MS = 10 * MINUTE_MS;

/** Days since 1970-01-01: rows that expire carry no exact time. */
export function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS);
}
