import { utf8 } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { GroupId, printId } from '@roost/core/ids';
import type { Domain, ScopedWire } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { Executor, Query } from '@roost/postgres/executor';
import type { Backlog } from './backlog.ts';
import type { DsConfig } from './config.ts';
import { Ear } from './ear.ts';
import type { DsEvents } from './events.ts';
import type { FanOutKeys, PartitionsToCarry } from './fan-out.ts';
import { OutboxDraft } from './fan-out.ts';
import type { Hub } from './hub.ts';
import type { Line } from './line.ts';
import type { Calm } from './tend.ts';
import { findHeads } from './store/outbox.ts';
import type { Vault } from './vault.ts';

/** Called between steps, so that a test can stop a process there. In service it does nothing. */
export type Faults = (point: FaultPoint) => void | Promise<void>;

export type FaultPoint =
  /** Before each statement of a transaction that changes something. */
  | 'accept.statement'
  /** All is written, and nothing of it is durable yet. */
  | 'accept.decided'
  | 'accept.durable'
  | 'dispatch.read'
  | 'dispatch.answered'
  | 'dispatch.deleted';

/** What the handlers have on their desk. */
export interface Desk {
  readonly config: DsConfig;
  /** Whether members may be reached at other homeservers. */
  readonly isFederated: boolean;
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly vault: Vault;
  readonly line: Line;
  readonly keys: FanOutKeys;
  readonly hub: Hub;
  readonly calm: Calm;
  readonly events: DsEvents;
  readonly faults: Faults;
  readonly backlog: Backlog;
  /** Tells the dispatcher that something waits. A lost call loses nothing. */
  readonly wake: (partitions: PartitionsToCarry) => void;
}

/** Who asks: by a leaf's key, from a homeserver. */
export interface Asker {
  readonly key: Uint8Array;
  readonly from: Domain;
}

/** What a transaction decided, and what to do once it is durable. */
export interface Decided<Response> {
  readonly response: Response;
  readonly partitions?: PartitionsToCarry;
  readonly keep?: () => void;
}

/** Changes one group: alone, in one transaction, and tells others after it. */
export async function change<Response>(
  desk: Desk,
  ear: Ear,
  decide: (tx: Executor) => Promise<Decided<Response>>,
): Promise<Response> {
  return await desk.line.run(ear.groupId.uuid, async () => {
    const decided = await desk.database.transaction(async (tx) => {
      const decision = await decide(mortal(tx, desk.faults));
      await desk.faults('accept.decided');
      return decision;
    });
    decided.keep?.();
    await desk.faults('accept.durable');
    if (decided.partitions !== undefined) desk.wake(decided.partitions);
    return decided.response;
  });
}

/** A transaction that may be stopped before each of its statements. */
export function mortal(tx: Executor, faults: Faults): Executor {
  return {
    query: async <Row extends object>(query: Query): Promise<Row[]> => {
      await faults('accept.statement');
      return await tx.query<Row>(query);
    },
  };
}

/** Reads a group as it was at one moment. */
export async function look<Response>(
  desk: Desk,
  read: (tx: Executor) => Promise<Response>,
): Promise<Response> {
  return await desk.database.transaction(read, { isolation: 'REPEATABLE READ' });
}

/** What every request begins with: the group, which is ours, and the key to what is stored of it. */
export function earOf(
  { config, crypto }: Desk,
  request: { readonly groupId: ScopedWire | undefined; readonly earKey: Uint8Array },
): Ear {
  const groupId = GroupId.parse(request.groupId, 'group_id');
  if (groupId.domain !== config.domain) {
    throw new Failure(
      'FEDERATION_DENIED',
      `a group is founded at the homeserver of its founder, and this one is ${config.domain}`,
    );
  }
  return new Ear(crypto, groupId, request.earKey);
}

/** The id as it stands inside MLS. */
export function mlsGroupId(groupId: GroupId): Uint8Array {
  return utf8(printId(groupId));
}

export function tlsOf(
  message: { readonly tls: Uint8Array } | undefined,
  field: string,
): Uint8Array {
  if (message === undefined || message.tls.length === 0) throw malformed(field, 'is missing');
  return message.tls;
}

/** An outbox of one group, numbered on from what it gave out last. */
export async function draftOf(desk: Desk, tx: Executor, ear: Ear): Promise<OutboxDraft> {
  return new OutboxDraft(desk.keys, await findHeads(tx, [ear.groupId.uuid]));
}
