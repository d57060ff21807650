import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { type Clock, sleep } from '@roost/core/time';
import { Client, type ClientEvent } from '@roost/client/client';
import { NodeStore } from '@roost/client/node/store';
import { decodeRecord } from '@roost/client/record';
import type { Account, Contact, Group, OwnPackage } from '@roost/client/state';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type Door, connectTo } from './door.ts';
import { PATIENCE_MS } from './patience.ts';
import { Recorder } from './recorder.ts';

type EventOf<K extends ClientEvent['kind']> = ClientEvent & { kind: K };

interface Parts {
  readonly store: NodeStore;
  readonly recorder: Recorder;
  readonly all: Disposable;
}

/** Somebody with a client over a real port, of whom a test sees all: every call, every key. */
export class Witness implements AsyncDisposable {
  readonly name: string;
  readonly client: Client;
  readonly events: ClientEvent[] = [];
  readonly recorder: Recorder;
  readonly #parts: Parts;

  private constructor(name: string, client: Client, parts: Parts) {
    this.name = name;
    this.client = client;
    this.recorder = parts.recorder;
    this.#parts = parts;
    void this.#read();
  }

  /** Registers at the homeserver behind this door. */
  static async come(door: Door, name: string, clock?: Clock): Promise<Witness> {
    using opened = new DisposableStack();
    const folder = mkdtempSync(join(tmpdir(), 'roost-witness-'));
    opened.defer(() => rmSync(folder, { recursive: true }));
    const store = opened.use(NodeStore.open(folder));
    const recorder = new Recorder(opened.use(connectTo(door)));
    const ports = { store, transport: recorder, crypto, clock };
    const client = await Client.register({ ...ports, userName: name });
    return new Witness(name, client, { recorder, store, all: opened.move() });
  }

  /** The first event of a kind, whether it has come or is to come. */
  async until<K extends ClientEvent['kind']>(
    kind: K,
    matches: (event: EventOf<K>) => boolean = () => true,
  ): Promise<EventOf<K>> {
    const isIt = (event: ClientEvent): event is EventOf<K> =>
      event.kind === kind && matches(event as EventOf<K>);
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(10)) {
      const found = this.events.find(isIt);
      if (found !== undefined) return found;
    }
    const heard = this.events.map((event) => event.kind).join(', ');
    throw new Error(`${this.name} heard no ${kind}, only: ${heard}`);
  }

  async hears(text: string): Promise<void> {
    await this.until('message', (event) => event.text === text);
  }

  /** The texts that arrived in a chat, in their order. */
  texts(chat: string): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'message' && event.chat === chat ? event.text : [],
    );
  }

  async account(): Promise<Account> {
    const bytes = await this.#parts.store.get('account/self');
    assert(bytes !== undefined, 'who came has an account');
    return decodeRecord<Account>(bytes);
  }

  groups(): Promise<Group[]> {
    return this.#records<Group>('group/');
  }

  contacts(): Promise<Contact[]> {
    return this.#records<Contact>('contact/');
  }

  packages(): Promise<OwnPackage[]> {
    return this.#records<OwnPackage>('package/');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    this.#parts.all[Symbol.dispose]();
  }

  async #records<T extends object>(prefix: string): Promise<T[]> {
    const entries = await this.#parts.store.list(prefix);
    return entries.map(({ value }) => decodeRecord<T>(value));
  }

  async #read(): Promise<void> {
    for await (const event of this.client.events()) this.events.push(event);
  }
}

/** Connects two; returns the chat between them. */
export async function connectTwo(a: Witness, b: Witness): Promise<string> {
  await a.client.connect(b.name);
  await b.until('request', ({ name }) => name.startsWith(`${a.name}@`));
  await b.client.accept(a.name);
  await b.until('connected', ({ name }) => name.startsWith(`${a.name}@`));
  const { chat } = await a.until('connected', ({ name }) => name.startsWith(`${b.name}@`));
  return chat;
}
