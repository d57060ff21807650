import { Failure } from '@roost/core/failure';
import { changedEntries, hasOtherPolicy, hasOtherTitle, stepsBetween } from './change.ts';
import type { Change, Form, Place, Who } from './change.ts';
import type { RoleDefinition } from './policy.ts';
import { entryOf, withRole, withoutParticipants } from './room.ts';
import type { ParticipantId, Role, RoomState } from './room.ts';
import { askedOf } from './rule.ts';
import type { Rule } from './rule.ts';
import { RULES, refusalOf } from './rules.ts';

export type { Change, Form, Place, Who } from './change.ts';

/** Every rule there is, by what it looks at; a test takes out one after the other. */
export interface Rulebook {
  readonly steps: readonly Rule[];
  readonly rooms: readonly RoomRule[];
  readonly limits: readonly LimitRule[];
}

/** A reason to refuse a room state as the successor of another. */
export interface RoomRule {
  readonly name: string;
  readonly refuse: (before: RoomState, after: RoomState) => string | undefined;
}

/** A reason to refuse what a change leads to, whoever makes it. */
export interface LimitRule {
  readonly name: string;
  readonly refuse: (before: Census, after: Census, isOtherPolicy: boolean) => string | undefined;
}

/**
 * Decides whether a change may be made; throws `NOT_ALLOWED` with a sentence for people where not.
 * One function for DS and client, so that a client can say why before it asks.
 */
export function authorize(place: Place, who: Who, change: Change, form: Form): void {
  const sentence = refusalOfChange({ place, who, change, form });
  if (sentence !== undefined) throw notAllowed(sentence);
}

export interface Question {
  readonly place: Place;
  readonly who: Who;
  readonly change: Change;
  readonly form: Form;
}

/** The first reason to refuse a change, if there is one. */
export function refusalOfChange(
  { place, who, change, form }: Question,
  rulebook: Rulebook = RULEBOOK,
): string | undefined {
  const steps = change.kind === 'room' ? stepsBetween(place, change.next) : [change];
  if (change.kind === 'room') {
    const sentence = refusalOfRoom(place.room, change.next, rulebook);
    if (sentence !== undefined) return sentence;
    // Whoever is in the room may say again what it says already.
    if (steps.length === 0) steps.push({ kind: 'same' });
  }
  for (const step of steps) {
    const sentence = refusalOf(askedOf(place, who, step, form), rulebook.steps);
    if (sentence !== undefined) return sentence;
  }
  return refusalOfLimits(place, placeAfter(place, who, change), rulebook);
}

export function refusalOfRoom(
  before: RoomState,
  after: RoomState,
  { rooms }: Rulebook = RULEBOOK,
): string | undefined {
  for (const { refuse } of rooms) {
    const sentence = refuse(before, after);
    if (sentence !== undefined) return sentence;
  }
  return undefined;
}

export function refusalOfLimits(
  before: Place,
  after: Place,
  { limits }: Rulebook = RULEBOOK,
): string | undefined {
  if (before.room === after.room && isSame(before.participants, after.participants))
    return undefined;
  const [old, renewed] = [censusOf(before), censusOf(after)];
  const isOtherPolicy = hasOtherPolicy(before.room, after.room);
  for (const { refuse } of limits) {
    const sentence = refuse(old, renewed, isOtherPolicy);
    if (sentence !== undefined) return sentence;
  }
  return undefined;
}

export function notAllowed(sentence: string): Failure {
  return new Failure('NOT_ALLOWED', sentence);
}

const ROOM_RULES: readonly RoomRule[] = [
  {
    name: 'the kind stays',
    refuse: (before, after) =>
      before.kind === after.kind ? undefined : 'the kind of a room never changes',
  },
  {
    name: 'the default role stays',
    refuse: (before, after) =>
      before.defaultRole === after.defaultRole
        ? undefined
        : 'the role that everybody has at first never changes',
  },
  {
    name: 'a policy comes alone',
    refuse: (before, after) =>
      hasOtherPolicy(before, after) &&
      (hasOtherTitle(before, after) || changedEntries(before, after).size > 0)
        ? 'what roles may do is changed by itself, with nothing beside it'
        : undefined,
  },
];

/** How many hold each role. */
interface Census {
  readonly roles: readonly RoleDefinition[];
  /** Of those in the room. */
  readonly present: ReadonlyMap<Role, number>;
  /** With those who are not. */
  readonly all: ReadonlyMap<Role, number>;
}

const LIMIT_RULES: readonly LimitRule[] = [
  {
    name: 'a minimum is kept',
    refuse: (before, after, isOtherPolicy) => {
      const short = after.roles.find(({ role, min }) => {
        const holders = after.present.get(role) ?? 0;
        const isLess = holders < (before.present.get(role) ?? 0);
        return holders < min && (isLess || isOtherPolicy);
      });
      if (short === undefined) return undefined;
      return short.role === 'owner' && short.min === 1
        ? 'the last owner makes another one the owner first'
        : `the room keeps at least ${short.min} of the role ${short.name}`;
    },
  },
  {
    name: 'a maximum is kept',
    refuse: (before, after, isOtherPolicy) =>
      full(after, ({ role, max }) => {
        const holders = after.all.get(role) ?? 0;
        return isAbove(holders, max) && (holders > (before.all.get(role) ?? 0) || isOtherPolicy);
      }),
  },
  {
    name: 'an active maximum is kept',
    refuse: (before, after, isOtherPolicy) =>
      full(after, ({ role, maxActive }) => {
        const holders = after.present.get(role) ?? 0;
        const isMore = holders > (before.present.get(role) ?? 0);
        return isAbove(holders, maxActive) && (isMore || isOtherPolicy);
      }),
  },
];

function isAbove(count: number, most: number | undefined): boolean {
  return most !== undefined && count > most;
}

function full(
  { roles }: Census,
  isFull: (definition: RoleDefinition) => boolean,
): string | undefined {
  const found = roles.find(isFull);
  if (found?.role === 'banned' && found.maxActive === 0) {
    return 'a ban takes all clients of the banned out of the room with it';
  }
  return found && `the room has no place for another one of the role ${found.name}`;
}

export const RULEBOOK: Rulebook = { steps: RULES, rooms: ROOM_RULES, limits: LIMIT_RULES };

function isSame(a: readonly ParticipantId[], b: readonly ParticipantId[]): boolean {
  return a === b || (a.length === b.length && a.every((each, at) => each === b[at]));
}

function censusOf(place: Place): Census {
  const { room, participants } = place;
  const roles = new Map(room.entries.map(({ participant, role }) => [participant, role]));
  const present = new Map<Role, number>();
  const all = new Map<Role, number>();
  for (const participant of participants) {
    const role = roles.get(participant) ?? room.defaultRole;
    tally(present, role);
    tally(all, role);
    roles.delete(participant);
  }
  for (const role of roles.values()) tally(all, role);
  return { roles: room.roles, present, all };
}

function tally(counts: Map<Role, number>, role: Role): void {
  counts.set(role, (counts.get(role) ?? 0) + 1);
}

/** What a change leads to by itself. */
function placeAfter(place: Place, who: Who, change: Change): Place {
  const { room, participants } = place;
  const without = (gone: readonly ParticipantId[]): Place => ({
    room: withoutParticipants(room, gone),
    participants: participants.filter((each) => !gone.includes(each)),
  });
  switch (change.kind) {
    case 'add': {
      const { as = room.defaultRole } = change;
      const named = (next: RoomState, each: ParticipantId) => withRole(next, each, as);
      const next = change.participants.reduce(named, room);
      return { room: next, participants: [...participants, ...change.participants] };
    }
    case 'external_join':
      return { room, participants: [...participants, who] };
    case 'remove':
      return without(change.participants);
    case 'leave':
      return without([who]);
    case 'ban': {
      const { participant } = change;
      const banned = without([participant]);
      return { ...banned, room: withRole(room, participant, 'banned') };
    }
    case 'unban':
      return { room: withRole(room, change.participant, 'none'), participants };
    case 'role':
      return { room: withRole(room, change.participant, change.to), participants };
    case 'policy':
      return { room: { ...room, roles: change.roles }, participants };
    case 'room': {
      const isBanned = (each: ParticipantId) => entryOf(change.next, each) === 'banned';
      return { room: change.next, participants: participants.filter((each) => !isBanned(each)) };
    }
    default:
      return place;
  }
}
