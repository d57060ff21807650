import { type Client, type FoundRoom, PUBLIC_NOTICE } from '@roost/client/client';
import type { Line } from './line.ts';

/** What the rest of a session does for the commands of rooms. */
interface Around {
  readonly say: (sentence: string) => void;
  readonly enter: (chat: string) => void;
  /** The current chat; refuses where there is none. */
  readonly chat: () => string;
  readonly label: (chat: string) => string;
  /** `name@domain` of what somebody typed. */
  readonly whole: (name: string) => string;
}

const KINDS = [
  'group',
  'groupdm',
  'public',
  'join',
  'rooms',
  'yes',
  'add',
  'remove',
  'ban',
  'unban',
  'role',
  'policy',
  'delete',
  'leave',
] as const;

type RoomLine = Extract<Line, { readonly kind: (typeof KINDS)[number] }>;

/** How far back a line to delete is looked for. */
const HISTORY_LINES = 200;

export function isRoomLine(line: Line): line is RoomLine {
  return KINDS.some((kind) => kind === line.kind);
}

/** The commands that make rooms, and that change who is in them and in which role. */
export class RoomCommands {
  readonly #client: Client;
  readonly #around: Around;
  #asked: (() => Promise<void>) | undefined;

  constructor(client: Client, around: Around) {
    this.#client = client;
    this.#around = around;
  }

  async carryOut(line: RoomLine): Promise<void> {
    const { rooms } = this.#client;
    const { chat, enter, label, say } = this.#around;
    switch (line.kind) {
      case 'group':
        enter(await this.#client.createGroup(line.title, line.names, line.policy));
        return say(`the group ${line.title} is made`);
      case 'groupdm': {
        const made = await rooms.createGroupDm(line.names);
        enter(made);
        return say(`lines go to ${label(made)} now`);
      }
      case 'add':
        return this.#client.add(chat(), line.names);
      case 'remove':
        return this.#client.remove(chat(), line.name);
      case 'leave':
        return this.#client.leave(chat());
      case 'ban':
      case 'unban':
        return rooms[line.kind](chat(), line.name);
      case 'role':
        return rooms.setRole(chat(), line.name, line.role);
      case 'policy':
        return rooms.setPolicy(chat(), line.policy);
      case 'delete':
        return this.#delete(line.name);
      default:
        return this.#public(line);
    }
  }

  async #delete(name: string | undefined): Promise<void> {
    const chat = this.#around.chat();
    const writer = name === undefined ? this.#client.userName : this.#around.whole(name);
    const lines = await this.#client.history(chat, HISTORY_LINES);
    const last = lines.findLast(({ sender, isDeleted }) => sender === writer && isDeleted !== true);
    if (last === undefined) return this.#around.say('there is no such line');
    await this.#client.deleteLine(chat, last);
    this.#around.say(`deleted: ${last.text}`);
  }

  /** What public rooms show of people is said before one is in. */
  async #public(
    line: Extract<RoomLine, { readonly kind: 'public' | 'join' | 'rooms' | 'yes' }>,
  ): Promise<void> {
    const { say } = this.#around;
    switch (line.kind) {
      case 'public':
        return this.#ask(`/yes makes the public room ${line.title}`, () => this.#make(line.title));
      case 'join': {
        const room = await this.#find(line.title, line.at);
        if (room === undefined) return;
        const where = line.at === undefined ? '' : ` of ${room.id.domain}`;
        return this.#ask(`/yes enters ${room.name}${where}`, () => this.#enter(room));
      }
      case 'rooms': {
        const found = await this.#client.rooms.find(line.text, line.at);
        if (found.length === 0) say('no public room is called that');
        for (const { name } of found) say(`public room: ${name}`);
        return;
      }
      case 'yes': {
        const asked = this.#asked;
        this.#asked = undefined;
        if (asked === undefined) return say('there is nothing to say yes to');
        return asked();
      }
    }
  }

  #ask(what: string, then: () => Promise<void>): void {
    this.#asked = then;
    this.#around.say(`${PUBLIC_NOTICE}; ${what}`);
  }

  async #make(title: string): Promise<void> {
    this.#around.enter(await this.#client.rooms.createPublicRoom(title));
    this.#around.say(`the public room ${title} is made`);
  }

  async #enter(room: FoundRoom): Promise<void> {
    this.#around.enter(await this.#client.rooms.join(room));
    this.#around.say(`you are in ${room.name}`);
  }

  /** The one room that is called so. */
  async #find(title: string, at?: string): Promise<FoundRoom | undefined> {
    const rooms = await this.#client.rooms.find(title, at);
    const wanted = title.toLowerCase();
    const called = rooms.filter(({ name }) => name.toLowerCase() === wanted);
    if (called.length === 1) return called[0];
    this.#around.say(
      called.length === 0
        ? `there is no public room ${title}${at === undefined ? '' : ` at ${at}`}; /rooms${at === undefined ? '' : ` @${at}`} lists them`
        : `there are ${called.length} public rooms ${title}; none is entered`,
    );
    return undefined;
  }
}
