import type { Chat, Client } from '@roost/client/client';
import { Failure } from '@roost/core/failure';
import { HELP, type Line, parseLine } from './line.ts';
import { isRoomLine, RoomCommands } from './room-commands.ts';
import type { Screen } from './screen.ts';
import {
  chatLine,
  escaped,
  eventLine,
  historyLine,
  labelsOf,
  membersLine,
  minuteOf,
  notice,
  type Scene,
  shortName,
} from './view.ts';

const HISTORY_LINES = 20;

/** Somebody at the client: lines become calls, events become lines. */
export class Session {
  readonly #client: Client;
  readonly #screen: Screen;
  readonly #roomCommands: RoomCommands;
  #current: string | undefined;
  /** The labels of chats that are gone, for what is still said of them. */
  readonly #labels = new Map<string, string>();

  constructor(client: Client, screen: Screen) {
    this.#client = client;
    this.#screen = screen;
    this.#roomCommands = new RoomCommands(client, {
      say: (sentence) => this.#say(sentence),
      enter: (chat) => this.#switchTo(chat),
      chat: () => this.#chat(),
      label: (chat) => this.#label(chat),
      whole: (name) => this.#whole(name),
    });
  }

  get scene(): Scene {
    const self = this.#client.userName;
    return {
      self,
      domain: self.slice(self.indexOf('@') + 1),
      label: (chat) => this.#label(chat),
    };
  }

  /** In a terminal, the last lines of all chats; and the chat with the last of them is current. */
  async begin(): Promise<void> {
    const chats = this.#client.chats();
    const unread = this.#client.unread();
    const lines = await Promise.all(
      chats.map(async ({ id }) => {
        const kept = await this.#client.history(id, HISTORY_LINES);
        return kept.map((line) => ({ id, line }));
      }),
    );
    const sorted = lines.flat().toSorted((a, b) => a.line.atMs - b.line.atMs);
    this.#switchTo(sorted.at(-1)?.id ?? chats[0]?.id);
    if (!this.#screen.isTerminal) return;
    const read = sorted.filter(({ id, line }) => {
      return !unread.some(
        (event) =>
          event.kind === 'message' &&
          event.chat === id &&
          event.text === line.text &&
          event.acceptedAtMs === line.atMs,
      );
    });
    for (const { id, line } of read.slice(-HISTORY_LINES)) {
      this.#screen.print(historyLine(this.#label(id), line, this.scene));
    }
  }

  /** Prints what happens, one line for each event, until the client stops. */
  async follow(): Promise<void> {
    for await (const event of this.#client.events()) {
      this.#screen.print(eventLine(event, this.scene));
      if (event.kind === 'joined' || event.kind === 'surfaced') this.#enter(event.chat);
      // Whoever asked was in this chat already; lines meant for another must not go there.
      if (event.kind === 'connected' && !this.#hasCurrent()) this.#enter(event.chat);
      if (event.kind === 'gone' && event.chat === this.#current) {
        this.#switchTo(this.#client.chats()[0]?.id);
      }
    }
  }

  /** Does what a line says; says whether to go on. What is refused is said, and nothing else happens. */
  async take(input: string): Promise<'on' | 'quit'> {
    const line = parseLine(input);
    if (line.kind === 'quit') return 'quit';
    try {
      await this.#carryOut(line);
    } catch (error) {
      // A disk that is full, for one: what could not be written down is not done.
      this.#say(error instanceof Failure ? plain(error) : `that failed: ${String(error)}`);
    }
    return 'on';
  }

  async #carryOut(line: Line): Promise<void> {
    if (isRoomLine(line)) return this.#roomCommands.carryOut(line);
    switch (line.kind) {
      case 'quit':
      case 'nothing':
        return;
      case 'refused':
        return this.#say(line.sentence);
      case 'text':
        return this.#send(line.text);
      case 'connect':
        return this.#connect(line.name);
      case 'accept': {
        const name = await this.#client.accept(line.name);
        this.#switchTo(this.#dmWith(name)?.id);
        return;
      }
      case 'reject':
        return this.#say(`you rejected ${this.#short(await this.#client.reject(line.name))}`);
      case 'forget':
        await this.#client.forget(line.name);
        return this.#say(`the conversation with ${line.name} is deleted`);
      case 'members': {
        const chat = this.#chat();
        const members = this.#client.members(chat);
        return this.#screen.print(membersLine(this.#label(chat), members, this.scene));
      }
      case 'chats':
        return this.#listChats();
      case 'switch':
        return this.#switch(line.chat);
      case 'verify':
        return this.#say(`compare with ${line.name}: ${this.#client.fingerprint(line.name)}`);
      case 'mute':
        return this.#mute(line.forMs);
      case 'unmute': {
        const chat = this.#chat();
        await this.#client.setNotifications(chat, { kind: 'all' });
        return this.#say(`${this.#label(chat)} is not muted any more`);
      }
      case 'silence':
      case 'unsilence':
        return this.#silence(line.kind);
      case 'block':
      case 'unblock':
        await this.#client[line.kind](line.name);
        return this.#say(`${line.name} is ${line.kind}ed`);
      case 'help':
        for (const each of HELP) this.#say(each);
    }
  }

  async #send(text: string): Promise<void> {
    await this.#client.send(this.#chat(), text);
  }

  async #connect(name: string): Promise<void> {
    const before = this.#dmWith(name);
    // It is there, and takes lines, as soon as the other one is found.
    const id = await this.#client.connect(name);
    this.#switchTo(id);
    const chat = this.#client.chat(id);
    if (chat?.isOpen === false) this.#say(`${this.#short(name)} is asked to connect`);
    else if (before !== undefined) {
      this.#say(`you are connected already; lines go to ${this.#label(id)}`);
    }
  }

  async #mute(forMs: number | undefined): Promise<void> {
    const chat = this.#chat();
    const label = this.#label(chat);
    if (forMs === undefined) {
      await this.#client.setNotifications(chat, { kind: 'silent' });
      return this.#say(`${label} is muted`);
    }
    const untilMs = Date.now() + forMs;
    await this.#client.setNotifications(chat, { kind: 'muted', untilMs });
    this.#say(`${label} is muted until ${minuteOf(untilMs)}`);
  }

  async #silence(kind: 'silence' | 'unsilence'): Promise<void> {
    const chat = this.#chat();
    await this.#client[kind](chat);
    const what = kind === 'silence' ? 'nothing more comes' : 'what is said from now on comes';
    this.#say(`${what} from ${this.#label(chat)}`);
  }

  #listChats(): void {
    const chats = this.#client.chats();
    if (chats.length === 0) this.#say('there is no chat yet; /connect <name> begins one');
    for (const chat of chats) {
      this.#screen.print(chatLine(escaped(this.#label(chat.id)), chat, chat.id === this.#current));
    }
  }

  #switch(wanted: string): void {
    const chats = this.#client.chats();
    const labels = labelsOf(chats, this.scene.domain);
    const found =
      chats.find(({ id }) => labels.get(id) === wanted) ??
      chats.find(({ id }) => labels.get(id)?.toLowerCase() === wanted.toLowerCase()) ??
      chats.find(({ name }) => name === wanted);
    if (found === undefined) return this.#say(`there is no chat ${wanted}; /chats lists them`);
    this.#switchTo(found.id);
    this.#say(`lines go to ${this.#label(found.id)} now`);
  }

  #enter(chat: string): void {
    if (this.#client.chats().some(({ id }) => id === chat)) this.#switchTo(chat);
  }

  #switchTo(chat: string | undefined): void {
    if (chat === undefined && this.#client.chats().length > 0) return;
    this.#current = chat;
    this.#screen.chat = chat === undefined ? undefined : escaped(this.#label(chat));
  }

  #chat(): string {
    // Another may have taken its place.
    const current = this.#current === undefined ? undefined : this.#client.chat(this.#current);
    this.#current = current?.id;
    if (this.#current === undefined || !this.#hasCurrent()) {
      throw new Failure(
        'GROUP_UNKNOWN',
        'there is no current chat; /connect <name> begins one, /switch <chat> chooses one',
      );
    }
    return this.#current;
  }

  #hasCurrent(): boolean {
    return this.#client.chats().some(({ id }) => id === this.#current);
  }

  /** `name@domain` of what somebody typed. */
  #whole(name: string): string {
    const folded = name.trim().toLowerCase();
    return folded.includes('@') ? folded : `${folded}@${this.scene.domain}`;
  }

  #dmWith(name: string): Chat | undefined {
    const whole = this.#whole(name);
    return this.#client.chats().find((chat) => chat.kind === 'dm' && chat.name === whole);
  }

  #label(chat: string): string {
    const labels = labelsOf(this.#client.chats(), this.scene.domain);
    const known = labels.get(chat);
    if (known !== undefined) this.#labels.set(chat, known);
    const before = known ?? this.#labels.get(chat);
    if (before !== undefined) return before;
    const gone = this.#client.chat(chat);
    return gone === undefined ? '' : shortName(gone.name, this.scene.domain);
  }

  #short(name: string): string {
    return shortName(name, this.scene.domain);
  }

  #say(sentence: string): void {
    this.#screen.print(notice(sentence));
  }
}

/** A refusal as people read it: without the field's name in front, and with what they can do. */
export function plain({ reason, message }: Failure): string {
  if (reason === 'FEDERATION_DENIED') {
    return `${message} (people of another homeserver are reached where the operators of both let them)`;
  }
  if (reason === 'PEER_UNAVAILABLE') return `${message}; try again later`;
  return message.replace(/^user_name: is not/, 'a user name is');
}
