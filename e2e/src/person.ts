import { join } from 'node:path';
import type { ClientEvent } from '@roost/client/client';
import { Client } from '@roost/client/client';
import { NodeStore } from '@roost/client/node/store';
import { decodeRecord, encodeRecord } from '@roost/client/record';
import { type Clock, sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Channel } from '@roost/rpc/client';
import { type Door, connectTo } from './door.ts';
import { PATIENCE_MS } from './patience.ts';

export interface Place extends Door {
  /** Holds a folder for each person. */
  readonly folder: string;
  readonly clock?: Clock;
}

type EventOf<K extends ClientEvent['kind']> = ClientEvent & { kind: K };

interface Parts {
  readonly store: NodeStore;
  readonly channel: Channel;
}

/** Somebody with a client over real gRPC, and everything that it told. Comes back as it went. */
export class Person implements AsyncDisposable {
  readonly name: string;
  readonly client: Client;
  readonly events: ClientEvent[] = [];
  /** What nobody answers for. */
  readonly reports: unknown[];
  readonly #parts: Parts;

  private constructor(name: string, client: Client, parts: Parts, reports: unknown[]) {
    this.name = name;
    this.client = client;
    this.#parts = parts;
    this.reports = reports;
    void this.#read();
  }

  static async come(name: string, { folder, clock, ...door }: Place): Promise<Person> {
    const store = NodeStore.open(join(folder, name));
    const channel = connectTo(door);
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(error);
    const client = await Client.register({
      ...{ store, transport: channel, crypto, clock, report, userName: name },
    });
    return new Person(name, client, { store, channel }, reports);
  }

  /** The first event of a kind that matches, once it is there. */
  async until<K extends ClientEvent['kind']>(
    kind: K,
    matches: (event: EventOf<K>) => boolean = () => true,
    patienceMs = PATIENCE_MS,
  ): Promise<EventOf<K>> {
    const isIt = (event: ClientEvent): event is EventOf<K> =>
      event.kind === kind && matches(event as EventOf<K>);
    for (let waited = 0; waited < patienceMs; waited += 10) {
      const found = this.events.find(isIt);
      if (found !== undefined) return found;
      await sleep(10);
    }
    throw new Error(`${this.name} heard no ${kind} but ${JSON.stringify(this.events)}`);
  }

  async hears(text: string): Promise<EventOf<'message'>> {
    return this.until('message', (event) => event.text === text);
  }

  /** The texts that were heard, in their order. */
  texts(): string[] {
    return this.events.flatMap((event) => (event.kind === 'message' ? event.text : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    this.#parts.store[Symbol.dispose]();
    this.#parts.channel.close();
  }

  async #read(): Promise<void> {
    for await (const event of this.client.events()) this.events.push(event);
  }
}

/** Connects two; returns their chat. */
export async function befriend(a: Person, b: Person): Promise<string> {
  await a.client.connect(b.name);
  await b.until('request', ({ name }) => name.startsWith(`${a.name}@`));
  await b.client.accept(a.name);
  await b.until('connected', ({ name }) => name.startsWith(`${a.name}@`));
  return (await a.until('connected', ({ name }) => name.startsWith(`${b.name}@`))).chat;
}

/** Changes what somebody's client has written down: what a client that cheats would say. */
export async function tamper<T extends object>(
  { folder }: Pick<Place, 'folder'>,
  name: string,
  key: string,
  change: (record: T) => T,
): Promise<T> {
  using store = NodeStore.open(join(folder, name));
  const record = decodeRecord<T>((await store.get(key)) ?? new Uint8Array(0));
  await store.write([{ key, value: encodeRecord(change(record)) }]);
  return record;
}
