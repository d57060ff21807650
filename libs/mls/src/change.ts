import { compare } from '@roost/core/bytes';
import { encodePolicy } from './policy.ts';
import type { RoleDefinition } from './policy.ts';
import { entryOf } from './room.ts';
import type { ParticipantId, Role, RoomState } from './room.ts';

/** Who asks: a participant, a stranger by the id that it would have, or the hub: 'hub'. */
export type Who = ParticipantId;

/**
 * How a change comes: in a member's commit, as a member's proposal ahead of one, or from outside
 * (the hub's proposals, external commits).
 */
export type Form = 'inline' | 'by-reference' | 'external';

/** A room and those in it, each once, before a change. */
export interface Place {
  readonly room: RoomState;
  readonly participants: readonly ParticipantId[];
}

/** One thing that a commit or proposal does to a room, and to whom. */
export type Change =
  /** Brings in participants that were not there; `as` is the default role unless it is given. */
  | {
      readonly kind: 'add';
      readonly participants: readonly ParticipantId[];
      readonly as?: Role | undefined;
    }
  /** Brings in a further client of a participant that is there. */
  | { readonly kind: 'add_client'; readonly participant: ParticipantId }
  /** Takes out participants, other ones than the actor, with all their clients. */
  | { readonly kind: 'remove'; readonly participants: readonly ParticipantId[] }
  /** Takes out some, not all, clients of a participant. */
  | { readonly kind: 'remove_client'; readonly participant: ParticipantId }
  /** The actor goes, with all its clients. */
  | { readonly kind: 'leave' }
  /** Takes a participant out, where it is there, and keeps it out. */
  | { readonly kind: 'ban'; readonly participant: ParticipantId }
  /** Lets a banned one come in again; does not bring it in. */
  | { readonly kind: 'unban'; readonly participant: ParticipantId }
  /** Gives somebody present another role. */
  | { readonly kind: 'role'; readonly participant: ParticipantId; readonly to: Role }
  | { readonly kind: 'title' }
  /** Replaces the roles list. */
  | { readonly kind: 'policy'; readonly roles: readonly RoleDefinition[] }
  /** Replaces the room state: all of the above that it takes to come from one to the other. */
  | { readonly kind: 'room'; readonly next: RoomState }
  /** Says the room state again. */
  | { readonly kind: 'same' }
  /** Renews keys. */
  | { readonly kind: 'update' }
  /** Enters by external commit; the actor is whoever enters. */
  | { readonly kind: 'external_join' }
  /** Comes back by external commit in place of its own old leaf. */
  | { readonly kind: 'resync' }
  | { readonly kind: 'psk' }
  /** Ends the group for another; `isSameHub` says whether that is a group of the same hub. */
  | { readonly kind: 'reinit'; readonly isSameHub: boolean }
  /** Sends an application message. */
  | { readonly kind: 'send' }
  /** A proposal of a type that rooms make no use of: `app_data_update`, `self_remove`, … */
  | { readonly kind: 'other' };

/** A change that is not made of others. */
export type Step = Exclude<Change, { readonly kind: 'room' }>;

export function hasOtherPolicy(before: RoomState, after: RoomState): boolean {
  if (before.roles === after.roles) return false;
  return compare(encodePolicy(before.roles), encodePolicy(after.roles)) !== 0;
}

export function hasOtherTitle(before: RoomState, after: RoomState): boolean {
  return compare(before.sealedTitle, after.sealedTitle) !== 0;
}

/** Whose entry in a room differs in another, with the role that it has in the other, if any. */
export function changedEntries(
  before: RoomState,
  after: RoomState,
): ReadonlyMap<ParticipantId, Role | undefined> {
  const changed = new Map<ParticipantId, Role | undefined>();
  const was = new Map(before.entries.map(({ participant, role }) => [participant, role]));
  for (const { participant, role } of after.entries) {
    if (was.get(participant) !== role) changed.set(participant, role);
    was.delete(participant);
  }
  for (const participant of was.keys()) changed.set(participant, undefined);
  return changed;
}

/** The steps between two states of a room, for those who neither come nor go by anything else. */
export function stepsBetween(
  { room, participants }: Place,
  next: RoomState,
  touched: ReadonlySet<ParticipantId> = new Set(),
): Step[] {
  const present = new Set(participants);
  const steps: Step[] = [];
  for (const [participant, role] of changedEntries(room, next)) {
    if (touched.has(participant)) continue;
    if (role === 'banned') steps.push({ kind: 'ban', participant });
    else if (entryOf(room, participant) === 'banned' && role === undefined) {
      steps.push({ kind: 'unban', participant });
    } else {
      const to = role ?? (present.has(participant) ? next.defaultRole : 'none');
      steps.push({ kind: 'role', participant, to });
    }
  }
  if (hasOtherTitle(room, next)) steps.push({ kind: 'title' });
  if (hasOtherPolicy(room, next)) steps.push({ kind: 'policy', roles: next.roles });
  return steps;
}
