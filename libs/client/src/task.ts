import type { Domain, GroupId, UserId } from '@roost/core/ids';
import type { ParticipantId, Role } from '@roost/mls/room';
import type { TemplateName } from '@roost/mls/templates';
import type { Section } from '@roost/proto/roost/authentication/v1/authentication';
import { type Turn, shelf } from './ledger.ts';
import { counters, type OwnLeaf } from './state.ts';

/**
 * What is still to be done at the homeserver. Tasks of one group form a lane and are done in their
 * order; they survive restarts, and each step of them may be repeated.
 */
export type Task =
  /** Finds a user, makes the group of two, and asks. */
  | {
      readonly kind: 'connect';
      readonly name: string;
      readonly group: GroupId;
      readonly asked?: Asked;
    }
  /** Enters the group of a request that was accepted. */
  | { readonly kind: 'accept'; readonly user: UserId }
  | { readonly kind: 'reject'; readonly user: UserId; readonly messageId: Uint8Array }
  /** Makes our KeyPackages open to a contact, and tells it how. */
  | { readonly kind: 'befriend'; readonly user: UserId }
  | { readonly kind: 'create' }
  | { readonly kind: 'commit'; readonly change: Change; readonly tries?: number }
  | { readonly kind: 'leave'; readonly proposal?: Uint8Array }
  | { readonly kind: 'join'; readonly welcome: WelcomeRecord }
  | {
      readonly kind: 'send';
      readonly content: Uint8Array;
      readonly text?: string;
      readonly sealed?: Uint8Array;
    }
  | { readonly kind: 'delete' }
  /** Deletes a group once all others have left it. */
  | { readonly kind: 'disband' }
  /** Enters a public room. */
  | { readonly kind: 'enter' }
  /** Puts a public room into the directory of its hub. */
  | { readonly kind: 'publish' }
  /** Opens a direct message of somebody whose homeserver could not be asked about it yet. */
  | { readonly kind: 'open'; readonly sections: readonly Section[]; readonly sinceMs: number }
  /** The log is read before any task; this one is for lanes that have no other. */
  | { readonly kind: 'catch-up' }
  /** Judges members who did not prove who they are again, by fresh keys of their domain. */
  | { readonly kind: 'recheck'; readonly chat: string; readonly isTold?: boolean }
  | { readonly kind: 'release'; readonly handle: Uint8Array; readonly isSilenced: boolean }
  /** Tells the QS what is set for a chat; `moved` is the handle that it gets for that. */
  | {
      readonly kind: 'notify' | 'silence';
      readonly chat: string;
      readonly moved?: Pick<OwnLeaf, 'handle' | 'pushKey'>;
    }
  /** Tells the QS which tokens open our KeyPackages. */
  | { readonly kind: 'tokens' }
  /** Tells a QS that was restored from a backup where our groups deliver to. */
  | { readonly kind: 'handles' }
  /** Tells the QS where pushes go; handles that come once it is under way need another. */
  | { readonly kind: 'push'; readonly isUnderWay?: boolean };

/** What a commit is for; it is made anew as often as another one wins. */
export type Change =
  | { readonly kind: 'add'; readonly invited: readonly Invited[] }
  | { readonly kind: 'remove'; readonly user: UserId }
  /** Takes out whoever says to be of a homeserver that does not tell who they are. */
  | { readonly kind: 'remove-unjudged'; readonly domain: Domain }
  | { readonly kind: 'title'; readonly title: string }
  | { readonly kind: 'role'; readonly user: UserId; readonly role: Role }
  /** Makes somebody the owner in our stead, whether or not we can name them. */
  | { readonly kind: 'hand-over'; readonly participant: ParticipantId }
  /** Takes somebody out, with all its clients, and keeps it out. */
  | { readonly kind: 'ban'; readonly user: UserId }
  | { readonly kind: 'unban'; readonly participant: ParticipantId }
  /** What roles may do from then on. */
  | { readonly kind: 'policy'; readonly template: TemplateName }
  /** Renews our keys. */
  | { readonly kind: 'update' }
  /** Carries out what others proposed, and removes leaves that are not who they say. */
  | { readonly kind: 'tidy' };

/** Somebody to be added, and the KeyPackages once they are claimed. */
interface Invited {
  readonly user: UserId;
  readonly claimId: Uint8Array;
  readonly packages?: readonly ClaimedPackage[];
}

export interface ClaimedPackage {
  readonly keyPackage: Uint8Array;
  readonly linkKey: Uint8Array;
}

/** A connection request once it is made: a repetition sends the same. */
interface Asked {
  readonly user: UserId;
  readonly joinSecret: Uint8Array;
  /** EnqueueDirectRequest, encoded. */
  readonly request: Uint8Array;
}

export interface WelcomeRecord {
  readonly welcome: Uint8Array;
  readonly epoch: bigint;
  readonly keyPackageRef: Uint8Array;
  readonly joinerInfo: Uint8Array;
}

export const tasks = shelf<Task>('task/');

const NUMBER_DIGITS = 12;

/** Puts a task at the end of a lane; the lane is the group's id in text. */
export function addTask(turn: Turn, lane: string, task: Task): string {
  const key = `${lane}/${numbered(turn, 'task')}`;
  turn.put(tasks, key, task);
  return key;
}

/** The Welcomes of a lane that are not followed yet, in their order. */
export function joinsIn(turn: Turn, lane: string): [key: string, task: JoinTask][] {
  const all = turn.list(tasks, `${lane}/`);
  return all.filter((entry): entry is [string, JoinTask] => entry[1].kind === 'join');
}

type JoinTask = Task & { readonly kind: 'join' };

/** The next number of a counter, as text that sorts. */
export function numbered(turn: Turn, counter: string): string {
  const next = turn.get(counters, counter)?.next ?? 0;
  turn.put(counters, counter, { next: next + 1 });
  return padded(next);
}

export function padded(number: number): string {
  return String(number).padStart(NUMBER_DIGITS, '0');
}

/** The lane of a task's key. */
export function laneOf(key: string): string {
  return key.slice(0, -(NUMBER_DIGITS + 1));
}
