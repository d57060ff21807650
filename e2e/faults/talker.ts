import { Client, type ClientEvent } from '@roost/client/client';
import { decodeRecord } from '@roost/client/record';
import type { Account } from '@roost/client/state';
import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Door } from '@roost/e2e/door';
import type { Log } from './log.ts';
import { MemoryStore } from './memory-store.ts';
import { Tap } from './tap.ts';

/** More than that is not said before the first of it is accepted. */
const UNHEARD_MAX = 20;
const PATIENCE_MS = 30_000;

/** Somebody with a client, all of whose words and calls are written down. */
export class Talker implements AsyncDisposable {
  readonly name: string;
  readonly client: Client;
  readonly tap: Tap;
  /** What happened to it, messages apart. */
  readonly events: ClientEvent[] = [];
  readonly reports: unknown[];
  #said = 0;
  #unheard = 0;
  readonly #log: Log;

  private constructor(parts: {
    readonly name: string;
    readonly client: Client;
    readonly tap: Tap;
    readonly log: Log;
    readonly reports: unknown[];
  }) {
    this.name = parts.name;
    this.client = parts.client;
    this.tap = parts.tap;
    this.reports = parts.reports;
    this.#log = parts.log;
    void this.#read();
  }

  static async come(name: string, door: Door, log: Log): Promise<Talker> {
    const tap = new Tap(name, door, log);
    const store = new MemoryStore();
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(error);
    const client = await patiently(() =>
      Client.register({ store, transport: tap, crypto, report, userName: name }),
    );
    const account = await store.get('account/self');
    assert(account !== undefined, 'who came has an account');
    tap.queue.open(decodeRecord<Account>(account).queueKey.privateKey);
    return new Talker({ name, client, tap, log, reports });
  }

  /** How many of its words nobody has answered for. */
  get unheard(): number {
    return this.#unheard;
  }

  /** Says its next words in a chat, unless too many wait; says whether it did. */
  async say(chat: string, padding = ''): Promise<boolean> {
    if (this.#unheard >= UNHEARD_MAX) return false;
    const group = this.#log.nameOf(chat);
    const what = `${this.name} ${++this.#said}`;
    const words = { client: this.name, group, level: 'text' as const, what };
    this.#unheard++;
    this.#log.add({ kind: 'sending', ...words });
    const { sent } = await this.client.send(chat, `${what} ${padding}`);
    const accepted = (): void => {
      const epoch = this.tap.saidIn.get(group) ?? 0;
      this.#log.add({ kind: 'accepted', epoch, ...words });
    };
    const refused = (error: unknown): void => {
      const reason = error instanceof Failure ? error.reason : String(error);
      this.#log.add({ kind: 'refused', reason, ...words });
    };
    void sent.then(accepted, refused).finally(() => this.#unheard--);
    return true;
  }

  /** The first event of a kind, whether it has come or is to come. */
  async until(kind: ClientEvent['kind'], matches: (event: ClientEvent) => boolean): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(20)) {
      if (this.events.some((event) => event.kind === kind && matches(event))) return;
    }
    const heard = this.events.map((event) => event.kind).join(', ');
    throw new Error(`${this.name} heard no ${kind}, only: ${heard}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    this.tap[Symbol.dispose]();
  }

  #joined(chat: string): void {
    const group = this.#log.nameOf(chat);
    const epoch = this.tap.queue.welcomed.get(group) ?? 0;
    this.#log.add({ kind: 'joined', seenBy: 'text', epoch, client: this.name, group });
  }

  async #read(): Promise<void> {
    for await (const event of this.client.events()) {
      if (event.kind !== 'message') {
        this.events.push(event);
        if (event.kind === 'joined') this.#joined(event.chat);
        continue;
      }
      const group = this.#log.nameOf(event.chat);
      const what = wordsOf(event.text);
      const message = { client: this.name, group, level: 'text' as const, what };
      this.#log.add({ kind: 'arrived', ...message });
    }
  }
}

/** Registration goes on where it was interrupted; what was struck last may still be on its way back. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; ; await sleep(500)) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Failure) || Date.now() > end) throw error;
    }
  }
}

/** What was said, without what makes it long. */
function wordsOf(text: string): string {
  return text.split(' ').slice(0, 2).join(' ');
}

/** Connects two; returns their chat. */
export async function introduce(one: Talker, other: Talker): Promise<string> {
  const isOf = (talker: Talker) => (event: ClientEvent) =>
    'name' in event && event.name.startsWith(`${talker.name}@`);
  await one.client.connect(other.name);
  await other.until('request', isOf(one));
  await other.client.accept(one.name);
  await one.until('connected', isOf(other));
  const chat = one.client.chats().find(({ name }) => name.startsWith(`${other.name}@`));
  assert(chat !== undefined, 'who is connected has a chat');
  return chat.id;
}
