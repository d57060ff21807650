import { Failure } from '@roost/core/failure';
import { toHex } from '@roost/core/bytes';
import { printId, type UserId } from '@roost/core/ids';
import { type Chat, type ChatMember, Chats, type Unfinished } from './chats.ts';
import { accepting } from './connect.ts';
import { encodeContent, MESSAGE_ID_BYTES } from './content.ts';
import { accountOf, type Core, ownClient } from './core.ts';
import { chatNow, forget } from './crossing.ts';
import { deleteLine } from './deletions.ts';
import { drawGroupId } from './groups.ts';
import { addLine, lastLines, type Line } from './history.ts';
import { Ledger, type Turn } from './ledger.ts';
import { type ClientEvent, newsShelves } from './news.ts';
import { People } from './people.ts';
import { type FoundRoom, PUBLIC_NOTICE } from './public.ts';
import { type Applicant, draftAccount } from './registration.ts';
import { type GroupPolicy, type MemberRole, Rooms } from './room-calls.ts';
import { type Ports, Running } from './running.ts';
import { Pushes } from './push.ts';
import { block, type Notifications, setNotifications, setSilenced, unblock } from './settings.ts';
import { accounts, contacts, groups, SELF, stateShelves } from './state.ts';
import type { Store } from './store.ts';
import { type Task, tasks } from './task.ts';
import { walletShelves } from './wallet.ts';

export { PUBLIC_NOTICE };
export type {
  Chat,
  ChatMember,
  ClientEvent,
  FoundRoom,
  GroupPolicy,
  Line,
  MemberRole,
  Notifications,
  Store,
  Unfinished,
};

export interface ClientOptions extends Ports {
  readonly store: Store;
}

/**
 * A client of a homeserver. What it is told to do is written down before it is done: calls that
 * promise something go on after a restart.
 */
export class Client {
  readonly #running: Running;
  readonly #people: People;
  readonly #chats: Chats;
  /** Kinds of rooms, roles and policies. */
  readonly rooms: Rooms;
  readonly #store: Store;

  private constructor(running: Running, store: Store) {
    this.#running = running;
    this.#people = new People(running.core, running.signal);
    this.#chats = new Chats(running.core, this.#people);
    this.rooms = new Rooms(running.core, this.#people, this.#chats);
    this.#store = store;
  }

  /** Registers a user, or goes on where that was interrupted; needs the homeserver. */
  static async register(options: ClientOptions & Applicant): Promise<Client> {
    const ledger = await openLedger(options.store);
    const { crypto, transport, userName, inviteCode } = options;
    await draftAccount({ ledger, crypto, transport }, { userName, inviteCode });
    const running = new Running(ledger, options);
    await running.setUp(inviteCode);
    running.start();
    return new Client(running, options.store);
  }

  /** Goes on as the user of this store. Once registered, the homeserver may be away. */
  static async open(options: ClientOptions): Promise<Client> {
    const ledger = await openLedger(options.store);
    const account = ledger.get(accounts, SELF);
    if (account === undefined) throw new Failure('USER_UNKNOWN', 'nobody is registered here');
    const running = new Running(ledger, options);
    if (account.qsClient === undefined) await running.setUp();
    running.start();
    return new Client(running, options.store);
  }

  /** The name of whoever registered in a store, `undefined` where nobody did. */
  static async userIn(store: Store): Promise<string | undefined> {
    const ledger = await Ledger.open(store, [accounts]);
    const account = ledger.get(accounts, SELF);
    return account?.isRegistered === true ? account.userName : undefined;
  }

  get #core(): Core {
    return this.#running.core;
  }

  /** `name@domain`. */
  get userName(): string {
    return accountOf(this.#core).userName;
  }

  get userId(): UserId {
    return ownClient(this.#core).user;
  }

  /** What tells of messages while nobody listens. */
  get pushes(): Pushes {
    return new Pushes(this.#core);
  }

  /** What happens, from what nobody has taken yet on. One reader; an event is gone when the next is asked for. */
  events(): AsyncGenerator<ClientEvent> {
    return this.#core.news.follow(this.#running.signal);
  }

  /** The events that nobody has taken yet. */
  unread(): ClientEvent[] {
    return this.#core.news.unread();
  }

  /**
   * Asks somebody to connect, done when the request lies in the other's queue; or opens the
   * conversation that there is. Returns its chat.
   */
  async connect(name: string): Promise<string> {
    const known = this.#people.talking(name);
    if (known !== undefined) return printId(known.group);
    const group = drawGroupId(this.#core);
    await this.#submit(printId(group), { kind: 'connect', name, group });
    return printId(this.#people.known(name).group);
  }

  /** The names of those who ask, the oldest first. */
  requests(): string[] {
    return this.#people.asking().map(({ userName }) => userName);
  }

  /** Accepts a request, the oldest one where no name is given; done when both can talk. */
  async accept(name?: string): Promise<string> {
    const { user, userName } = this.#people.askingAs(name);
    await this.#do((turn) => {
      const contact = turn.get(contacts, printId(user));
      if (contact?.standing !== 'asking') {
        throw new Failure('USER_UNKNOWN', `${userName} does not ask to connect any more`);
      }
      return accepting(this.#core, turn, contact);
    });
    return userName;
  }

  /** Rejects a request; done when the answer lies in the other's queue. */
  async reject(name?: string): Promise<string> {
    const { user, userName, group } = this.#people.askingAs(name);
    const messageId = this.#core.crypto.random(16);
    await this.#submit(printId(group), { kind: 'reject', user, messageId });
    return userName;
  }

  /** Makes a group of people whom we are connected with; returns its chat. */
  async createGroup(
    title: string,
    names: readonly string[],
    policy: GroupPolicy = 'cooperative',
  ): Promise<string> {
    return this.rooms.createGroup(title, names, policy);
  }

  /** Adds people whom we are connected with. */
  async add(chat: string, names: readonly string[]): Promise<void> {
    await this.rooms.add(chat, names);
  }

  /** Removes somebody with all their clients; by `@domain` those of a homeserver that does not tell who they are. */
  async remove(chat: string, name: string): Promise<void> {
    await this.rooms.remove(chat, name);
  }

  /** Leaves a group; done when the hub takes nothing more from us. */
  async leave(chat: string): Promise<void> {
    await this.rooms.leave(chat);
  }

  async setTitle(chat: string, title: string): Promise<void> {
    await this.rooms.setTitle(chat, title);
  }

  /** Who is in a chat. */
  members(chat: string): ChatMember[] {
    return this.#chats.members(chat);
  }

  /** All chats that we are in, or that wait for the other one. */
  chats(): Chat[] {
    return this.#chats.all();
  }

  /** Any chat that there is or was, by its id. */
  chat(id: string): Chat | undefined {
    return this.#chats.find(id);
  }

  /** Writes a message down; it is sent when it can be. `sent` resolves when the hub has it. */
  async send(chat: string, text: string): Promise<{ readonly sent: Promise<void> }> {
    this.#chats.group(chat);
    if (this.#chats.find(chat)?.isBlocked === true) {
      throw new Failure('NOT_ALLOWED', 'you blocked the other one; unblock first');
    }
    const messageId = this.#core.crypto.random(MESSAGE_ID_BYTES);
    const content = encodeContent({ kind: 'text', messageId, text });
    const id = toHex(messageId);
    const sender = this.userName;
    const { done } = await this.#core.ledger.turn((turn) => {
      const lane = chatNow(turn, chat);
      addLine(turn, lane, { id, sender, text, atMs: this.#core.clock.now(), isOwn: true });
      return this.#core.lanes.submit(turn, lane, { kind: 'send', content, text });
    });
    done.catch(() => undefined);
    return { sent: done };
  }

  /** Deletes a line at everybody in the chat: our own, or another's where our role may. */
  async deleteLine(chat: string, line: Line): Promise<void> {
    const { group, state } = this.#chats.joined(chat);
    await this.#do((turn) => deleteLine(this.#core, turn, { group, state, line }));
  }

  /** Says of which messages a push may tell; they are delivered all the same. */
  async setNotifications(chat: string, wanted: Notifications): Promise<void> {
    await this.#do((turn) => setNotifications(this.#core, turn, chat, wanted));
  }

  /** Takes nothing more from a chat, and nobody can tell. */
  async silence(chat: string): Promise<void> {
    await this.#do((turn) => setSilenced(this.#core, turn, chat, true));
  }

  /** Takes what comes from now on. */
  async unsilence(chat: string): Promise<void> {
    await this.#do((turn) => setSilenced(this.#core, turn, chat, false));
  }

  /** Hears nothing more of somebody, who is not told. */
  async block(name: string): Promise<void> {
    await this.#do((turn) => block(this.#core, turn, this.#people.known(name)));
  }

  async unblock(name: string): Promise<void> {
    await this.#do((turn) => unblock(this.#core, turn, this.#people.known(name)));
  }

  /** Deletes the conversation with somebody whom we blocked; nobody can tell. A later one is new. */
  async forget(name: string): Promise<void> {
    await this.#core.ledger.turn((turn) => forget(turn, this.#people.known(name)));
  }

  /** The last lines of a chat, the oldest first. */
  async history(chat: string, count: number): Promise<Line[]> {
    const lane = chatNow(this.#core.ledger, chat);
    const lines = this.#core.ledger.get(groups, lane)?.lines ?? 0;
    return lastLines(this.#store, lane, lines, count);
  }

  /** What is not done yet, in its order; what the client does by itself is left out. */
  unfinished(): Unfinished[] {
    return this.#chats.unfinished();
  }

  /** The same digits on both sides, to be compared over another way. */
  fingerprint(name: string): string {
    return this.#people.fingerprint(name);
  }

  /** Tries at once what waits: somebody looks, or the network is another one (old lines are dead then). */
  hurry(isLineNew = false): void {
    this.#running.hurry(isLineNew);
  }

  /** Stops. What is not done is done after the next start. */
  async close(): Promise<void> {
    await this.#running.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #submit(lane: string, task: Task): Promise<void> {
    await this.#do((turn) => this.#core.lanes.submit(turn, lane, task));
  }

  async #do(change: (turn: Turn) => Submitted | Promise<Submitted>): Promise<void> {
    const { done } = await this.#core.ledger.turn(change);
    await done;
  }
}
type Submitted = { readonly done: Promise<void> };

async function openLedger(store: Store): Promise<Ledger> {
  return Ledger.open(store, [...stateShelves, ...walletShelves, ...newsShelves, tasks]);
}
