import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { type Role, roleOf, type RoomKind } from '@roost/mls/room';
import { accountOf, type Core, ownClient } from './core.ts';
import { chatNow } from './crossing.ts';
import { usersOf } from './members.ts';
import type { ClientState } from './mls.ts';
import type { People } from './people.ts';
import { type Notifications, notificationsNow } from './settings.ts';
import { type Group, groups, states } from './state.ts';
import { laneOf, type Task, tasks } from './task.ts';
import { roomOf } from './titles.ts';

/** A conversation of two, or a group. */
export interface Chat {
  /** The group's id in text; what all calls name a chat by. */
  readonly id: string;
  readonly kind: RoomKind;
  /** The title; where there is none, who else is in it. */
  readonly name: string;
  /** Whether messages are sent, or kept until the other one accepts. */
  readonly isOpen: boolean;
  /** Of which messages a push tells, as it holds now. */
  readonly notifications: Notifications;
  /** Nothing of it comes, and nobody can tell. */
  readonly isSilenced: boolean;
  /** A conversation with somebody whom we blocked. */
  readonly isBlocked: boolean;
}

export interface ChatMember {
  /** `name@domain`; empty where the member is not who it says, or cannot be judged. */
  readonly name: string;
  /** Where it cannot be judged: the homeserver that it says it is of. */
  readonly unjudged?: string | undefined;
  readonly isOwner: boolean;
  readonly role: Role;
  readonly isSelf: boolean;
}

/** Something that is not done at the homeserver yet. */
export interface Unfinished {
  readonly kind: Task['kind'];
  readonly chat: string;
  /** The text of a message. */
  readonly text?: string | undefined;
}

/** The chats of a client, as whoever uses it sees them. */
export class Chats {
  readonly #core: Core;
  readonly #people: People;

  constructor(core: Core, people: People) {
    this.#core = core;
    this.#people = people;
  }

  /** All that we are in, or that wait for the other one. */
  all(): Chat[] {
    const shown = this.#core.ledger.list(groups).filter(([, group]) => isShown(group));
    return shown.map(([id, group]) => this.#chatOf(id, group));
  }

  /** Any that there is or was. */
  find(id: string): Chat | undefined {
    const group = this.#group(id);
    return group === undefined ? undefined : this.#chatOf(printId(group.id), group);
  }

  /** The group of a chat that lines can be written for. */
  group(id: string): Group {
    const group = this.#group(id);
    if (group !== undefined && isShown(group)) return group;
    throw new Failure('GROUP_UNKNOWN', 'you are not in this chat');
  }

  /** A group with its MLS state: we are a member. */
  joined(id: string): { readonly group: Group; readonly state: ClientState } {
    const group = this.group(id);
    const state = this.#core.ledger.get(states, printId(group.id));
    if (state !== undefined) return { group, state };
    throw new Failure('GROUP_UNKNOWN', 'you are not in this chat yet');
  }

  members(id: string): ChatMember[] {
    const { group, state } = this.joined(id);
    const room = roomOf(state);
    const self = printId(ownClient(this.#core).user);
    return group.members.map(({ identity, unjudged, participant }) => ({
      name: identity?.userName ?? '',
      unjudged,
      isOwner: roleOf(room, participant) === 'owner',
      role: roleOf(room, participant),
      isSelf: identity !== undefined && printId(identity.user) === self,
    }));
  }

  /** What is not done yet, in its order; what the client does by itself is left out. */
  unfinished(): Unfinished[] {
    return this.#core.ledger
      .list(tasks)
      .filter(([, { kind }]) => !BY_ITSELF.has(kind))
      .map(([key, task]) => {
        const text = task.kind === 'send' ? task.text : undefined;
        return { kind: task.kind, chat: 'chat' in task ? task.chat : laneOf(key), text };
      });
  }

  #group(id: string): Group | undefined {
    return this.#core.ledger.get(groups, chatNow(this.#core.ledger, id));
  }

  /** A conversation without a title is called by the others in it. */
  #namesOf(group: Group): string {
    const { domain } = accountOf(this.#core);
    const self = printId(ownClient(this.#core).user);
    const names = [...usersOf(group)].flatMap(([user, { identity }]) =>
      user === self || identity === undefined ? [] : identity.userName,
    );
    const short = names.map((name) =>
      name.endsWith(`@${domain}`) ? name.slice(0, name.indexOf('@')) : name,
    );
    return short.length === 0 ? 'nobody else' : short.toSorted().join(', ');
  }

  #chatOf(id: string, group: Group): Chat {
    const settings = {
      notifications: notificationsNow(this.#core, group.notifications),
      isSilenced: group.isSilenced === true,
      isBlocked: false,
    };
    if (group.kind !== 'dm') {
      const isOpen = group.standing === 'active';
      const name = group.title === '' ? this.#namesOf(group) : group.title;
      return { id, kind: group.kind, name, isOpen, ...settings };
    }
    const { userName = '', standing, isBlocked = false } = this.#people.inGroup(id) ?? {};
    return {
      id,
      kind: 'dm',
      name: userName,
      isOpen: standing === 'connected',
      ...settings,
      isBlocked,
    };
  }
}

const BY_ITSELF: ReadonlySet<Task['kind']> = new Set([
  'release',
  'catch-up',
  'recheck',
  'delete',
  'disband',
  'open',
  'tokens',
  'handles',
  'push',
]);

function isShown(group: Group): boolean {
  const { standing, isLeaving, isForgotten, movedTo } = group;
  return standing !== 'gone' && !isLeaving && isForgotten !== true && movedTo === undefined;
}
