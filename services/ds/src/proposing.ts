import { monthOf } from '@roost/core/time';
import type { Executor } from '@roost/postgres/executor';
import { dayOf } from './config.ts';
import { draftOf } from './desk.ts';
import type { Decided, Desk } from './desk.ts';
import { encodeRoster, rosterOf } from './domain/roster.ts';
import type { Roster } from './domain/roster.ts';
import type { Ear } from './ear.ts';
import type { Delivery } from './fan-out.ts';
import { advanceGroup, putRoster } from './store/groups.ts';
import type { GroupRow } from './store/groups.ts';
import { insertAccepted, insertLog } from './store/log.ts';

/** Proposals that wait from now on for the commit of the current epoch. */
export interface Proposed {
  readonly ear: Ear;
  readonly row: GroupRow;
  /** As it is with them, but for their number. */
  readonly roster: Roster;
  readonly deliveries: readonly Delivery[];
  readonly acceptedAtMs: bigint;
  /** What their sender is answered again. */
  readonly answer?: { readonly digest: Uint8Array; readonly sealed: Uint8Array };
}

/** Writes proposals: the log, the fan-out, and the roster that goes with them. */
export async function accept(
  desk: Desk,
  tx: Executor,
  proposed: Proposed,
): Promise<Omit<Decided<never>, 'response'>> {
  const { ear, row, deliveries, answer } = proposed;
  const now = Number(proposed.acceptedAtMs);
  const draft = await draftOf(desk, tx, ear);
  for (const delivery of deliveries) draft.add(ear.groupId, delivery);

  const { pending } = proposed.roster;
  const roster = rosterOf(proposed.roster.members, {
    ...proposed.roster,
    pending: pending + deliveries.length,
  });
  const version = row.rosterVersion + 1n;
  const members = encodeRoster(roster);
  await Promise.all([
    advanceGroup(tx, row.id, row.epoch, version, monthOf(now)),
    putRoster(tx, row.id, ear.seal({ kind: 'roster', version }, members)),
    logProposals(tx, proposed, pending),
    answer === undefined ? undefined : insertAccepted(tx, [{ id: row.id, ...answer }], dayOf(now)),
    draft.write(tx),
  ]);
  const keep = (): void =>
    desk.vault.keepRoster(ear, { ...row, rosterVersion: version }, roster, members.length);
  return { partitions: draft.partitions, keep };
}

/** Behind the proposals of the epoch that are there already. */
export async function logProposals(
  tx: Executor,
  {
    ear,
    row,
    deliveries,
    acceptedAtMs,
  }: Pick<Proposed, 'ear' | 'row' | 'deliveries' | 'acceptedAtMs'>,
  first: number,
): Promise<void> {
  const { epoch } = row;
  for (const [at, { groupEvent }] of deliveries.entries()) {
    const position = first + at;
    const sealed = ear.seal({ kind: 'log', epoch, position }, groupEvent);
    const entry = { epoch, position, isCommit: false, sealed };
    await insertLog(tx, row.id, entry, dayOf(Number(acceptedAtMs)));
  }
}
