import { Failure } from '@roost/core/failure';
import { parseDomain, printId, type UserId } from '@roost/core/ids';
import { entryOf, type Role } from '@roost/mls/room';
import { templateNamed } from '@roost/mls/templates';
import type { Chats } from './chats.ts';
import { type Core, ownClient } from './core.ts';
import { chatNow } from './crossing.ts';
import { drawGroupId, found, invite } from './groups.ts';
import type { Turn } from './ledger.ts';
import { usersOf } from './members.ts';
import type { ClientState } from './mls.ts';
import type { People } from './people.ts';
import { assertAllowed, participantOf, planOf } from './plan.ts';
import { draftRoom, findRooms, type FoundRoom } from './public.ts';
import { foundedBy, sameConversation } from './same-people.ts';
import type { Group } from './state.ts';
import type { Change, Task } from './task.ts';
import { roomOf } from './titles.ts';

type Done = { readonly done: Promise<void> };

/** The policies that a group may begin with. */
export type GroupPolicy = 'cooperative' | 'strict' | 'moderated';
/** The roles that people hold; `ordinary` is what everybody is at first. */
export type MemberRole = 'ordinary' | 'visitor' | 'moderator' | 'admin' | 'owner';

/** What is done with rooms: founding and entering them, who is in them and in which role. */
export class Rooms {
  readonly #core: Core;
  readonly #people: People;
  readonly #chats: Chats;

  constructor(core: Core, people: People, chats: Chats) {
    this.#core = core;
    this.#people = people;
    this.#chats = chats;
  }

  async createGroup(title: string, names: readonly string[], policy: GroupPolicy): Promise<string> {
    const users = await this.#people.friends(names);
    const id = drawGroupId(this.#core);
    await this.#do(async (turn) => {
      await found(this.#core, turn, { id, template: templateNamed(policy), title });
      const created = this.#core.lanes.submit(turn, printId(id), { kind: 'create' });
      return users.length === 0 ? created : this.#invite(turn, printId(id), users);
    });
    return printId(id);
  }

  /**
   * Makes the conversation of these people, to whom nobody is added later; or opens the one that
   * there is. Returns its chat.
   */
  async createGroupDm(names: readonly string[]): Promise<string> {
    const users = await this.#people.friends(names);
    const founding = foundedBy(
      this.#core,
      users.map((user) => printId(user)),
    );
    if (founding.users.length < 3) {
      throw new Failure('NOT_ALLOWED', 'a group conversation is for three or more');
    }
    const drawn = drawGroupId(this.#core);
    let chat = printId(drawn);
    await this.#do(async (turn) => {
      const same = sameConversation(turn, founding);
      if (same !== undefined) {
        chat = printId(same.id);
        return { done: Promise.resolve() };
      }
      const template = templateNamed('group_dm');
      await found(this.#core, turn, { id: drawn, template, title: '', founding });
      this.#core.lanes.submit(turn, chat, { kind: 'create' });
      return this.#invite(turn, chat, users);
    });
    return chatNow(this.#core.ledger, chat);
  }

  /** Makes a room that everybody finds and enters; whoever asks for one is shown `PUBLIC_NOTICE`. */
  async createPublicRoom(title: string): Promise<string> {
    const id = drawGroupId(this.#core);
    const { length } = title;
    if (length < 1 || length > ROOM_NAME_MAX) {
      throw new Failure('MALFORMED', `the name of a room has 1 to ${ROOM_NAME_MAX} characters`);
    }
    await this.#do(async (turn) => {
      await found(this.#core, turn, { id, template: templateNamed('public'), title });
      this.#core.lanes.submit(turn, printId(id), { kind: 'create' });
      return this.#core.lanes.submit(turn, printId(id), { kind: 'publish' });
    });
    return printId(id);
  }

  /** The public rooms whose names contain a text, of our own homeserver or of another one. */
  async find(text: string, domain?: string): Promise<FoundRoom[]> {
    const { trust } = this.#core;
    return findRooms(this.#core, text, domain === undefined ? trust.domain : parseDomain(domain));
  }

  /** Enters a public room; done when we are in. Whoever does is shown `PUBLIC_NOTICE`. */
  async join(room: FoundRoom): Promise<string> {
    await this.#do((turn) => {
      draftRoom(this.#core, turn, room);
      return this.#core.lanes.submit(turn, printId(room.id), { kind: 'enter' });
    });
    return printId(room.id);
  }

  async add(chat: string, names: readonly string[]): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    assertAllowed(this.#core, group, state, { kind: 'add', participants: [] });
    const users = await this.#people.friends(names);
    const present = usersOf(group);
    const again = users.find((user) => present.has(printId(user)));
    if (again !== undefined) {
      const name = present.get(printId(again))?.identity?.userName ?? '';
      throw new Failure('ALREADY_EXISTS', `${name} is in this group already`);
    }
    const participants = users.map((user) => participantOf(this.#core, group, user));
    assertAllowed(this.#core, group, state, { kind: 'add', participants });
    await this.#do((turn) => this.#invite(turn, printId(group.id), users));
  }

  async remove(chat: string, name: string): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    if (name.startsWith('@')) return await this.#removeUnjudged(group, state, name.slice(1));
    const user = this.#member(group, name);
    if (printId(user) === this.#self) {
      throw new Failure('NOT_ALLOWED', 'nobody removes themselves; leave the group instead');
    }
    const participants = [participantOf(this.#core, group, user)];
    assertAllowed(this.#core, group, state, { kind: 'remove', participants });
    await this.#commit(group, { kind: 'remove', user });
  }

  async #removeUnjudged(group: Group, state: ClientState, text: string): Promise<void> {
    const domain = parseDomain(text, 'name');
    const change = { kind: 'remove-unjudged' as const, domain };
    if (planOf(this.#core, group, state, change) === undefined) {
      throw new Failure('USER_UNKNOWN', `there is nobody of ${domain} whom nobody can judge`);
    }
    await this.#commit(group, change);
  }

  /** Removes somebody with all their clients, and keeps them out. */
  async ban(chat: string, name: string): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    const user = this.#member(group, name);
    const participant = participantOf(this.#core, group, user);
    assertAllowed(this.#core, group, state, { kind: 'ban', participant });
    await this.#commit(group, { kind: 'ban', user });
  }

  /** Lets somebody in again who was banned; does not add them. */
  async unban(chat: string, name: string): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    const printed = this.#people.printed(name);
    const noted = Object.entries(group.banned ?? {}).find(([, each]) => each === printed)?.[0];
    const user = this.#people.called(printed)?.user;
    const participant = noted ?? (user && participantOf(this.#core, group, user));
    const { entries } = roomOf(state);
    const isBanned = entries.some(
      (entry) => entry.participant === participant && entry.role === 'banned',
    );
    if (participant === undefined || !isBanned) {
      throw new Failure('USER_UNKNOWN', `${printed} is not banned here`);
    }
    assertAllowed(this.#core, group, state, { kind: 'unban', participant });
    await this.#commit(group, { kind: 'unban', participant });
  }

  async setRole(chat: string, name: string, role: MemberRole): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    const user = this.#member(group, name);
    const participant = participantOf(this.#core, group, user);
    const held: Role = entryOf(roomOf(state), participant) ?? 'ordinary';
    if (held === role) throw new Failure('ALREADY_EXISTS', `that is the role of ${name} already`);
    assertAllowed(this.#core, group, state, { kind: 'role', participant, to: role });
    await this.#commit(group, { kind: 'role', user, role });
  }

  /** Changes what roles may do in a group. */
  async setPolicy(chat: string, template: GroupPolicy): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    if (group.kind !== 'group') {
      throw new Failure('NOT_ALLOWED', 'only groups have another policy than they began with');
    }
    const { roles } = templateNamed(template);
    assertAllowed(this.#core, group, state, { kind: 'policy', roles });
    await this.#commit(group, { kind: 'policy', template });
  }

  async leave(chat: string): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    // The last owner hands the group over first; a conversation of two is never left.
    if (group.kind === 'dm') assertAllowed(this.#core, group, state, { kind: 'leave' });
    await this.#submit(printId(group.id), { kind: 'leave' });
  }

  async setTitle(chat: string, title: string): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    assertAllowed(this.#core, group, state, { kind: 'title' });
    await this.#commit(group, { kind: 'title', title });
  }

  get #self(): string {
    return printId(ownClient(this.#core).user);
  }

  /** A member by name. */
  #member(group: Group, name: string): UserId {
    const printed = this.#people.printed(name);
    const member = [...usersOf(group).values()].find(
      ({ identity }) => identity?.userName === printed,
    );
    if (member?.identity !== undefined) return member.identity.user;
    throw new Failure('USER_UNKNOWN', `${printed} is not in this group`);
  }

  #invite(turn: Turn, lane: string, users: readonly UserId[]): Done {
    const change = { kind: 'add' as const, invited: invite(this.#core, users) };
    return this.#core.lanes.submit(turn, lane, { kind: 'commit', change });
  }

  async #commit({ id }: Group, change: Change): Promise<void> {
    await this.#submit(printId(id), { kind: 'commit', change });
  }

  async #submit(lane: string, task: Task): Promise<void> {
    await this.#do((turn) => this.#core.lanes.submit(turn, lane, task));
  }

  async #do(change: (turn: Turn) => Done | Promise<Done>): Promise<void> {
    const { done } = await this.#core.ledger.turn(change);
    await done;
  }
}

const ROOM_NAME_MAX = 64;
