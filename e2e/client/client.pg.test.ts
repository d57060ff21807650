import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, type ClientEvent } from '@roost/client/client';
import { NodeStore } from '@roost/client/node/store';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { World } from '@roost/e2e/world';
import { connect } from '@roost/rpc/client';

const folder = mkdtempSync(join(tmpdir(), 'roost-client-'));
let world: World;
const reports: unknown[] = [];

beforeAll(async () => {
  world = await World.open(process.env['ROOST_TEST_LOG'] ? { log: loud() } : {});
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
  if (reports.length > 0)
    process.stderr.write(`${reports.map((e) => (e as Error)?.stack ?? String(e)).join('\n')}\n`);
});

function loud() {
  const say = (fields: object, text: string): void => {
    process.stderr.write(
      `${text} ${JSON.stringify(fields, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v instanceof Error ? v.stack : v))}\n`,
    );
  };
  const log = { debug: say, info: say, warn: say, error: say, named: () => log };
  return log;
}

/** Somebody with a client, and all events that it told. */
class Person implements AsyncDisposable {
  readonly events: ClientEvent[] = [];
  readonly name: string;
  readonly client: Client;
  readonly #store: NodeStore;
  readonly #channel: ReturnType<typeof connect>;

  private constructor(
    name: string,
    client: Client,
    parts: { store: NodeStore; channel: ReturnType<typeof connect> },
  ) {
    this.name = name;
    this.client = client;
    this.#store = parts.store;
    this.#channel = parts.channel;
    void this.#read();
  }

  static async come(name: string): Promise<Person> {
    const store = NodeStore.open(join(folder, name));
    const channel = connect(world.address);
    const report = (error: unknown): void => void reports.push(error);
    const options = { store, transport: channel, crypto, report };
    const client = await Client.register({ ...options, userName: name });
    return new Person(name, client, { store, channel });
  }

  async until<K extends ClientEvent['kind']>(
    kind: K,
    matches: (event: ClientEvent & { kind: K }) => boolean = () => true,
  ): Promise<ClientEvent & { kind: K }> {
    const end = Date.now() + 15_000;
    for (;;) {
      const found = this.events.find(
        (each) => each.kind === kind && matches(each as ClientEvent & { kind: K }),
      );
      if (found !== undefined) return found as ClientEvent & { kind: K };
      if (Date.now() > end) {
        throw new Error(`${this.name} heard no ${kind}: ${JSON.stringify(this.events)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  hears(text: string) {
    return this.until('message', (event) => event.text === text);
  }

  texts(): string[] {
    return this.events.flatMap((event) => (event.kind === 'message' ? event.text : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    this.#store[Symbol.dispose]();
    this.#channel.close();
  }

  async #read(): Promise<void> {
    for await (const event of this.client.events()) this.events.push(event);
  }
}

async function befriend(a: Person, b: Person): Promise<string> {
  await a.client.connect(b.name);
  await b.until('request');
  await b.client.accept(a.name);
  await b.until('connected', ({ name }) => name.startsWith(`${a.name}@`));
  return (await a.until('connected', ({ name }) => name.startsWith(`${b.name}@`))).chat;
}

test('two register, connect and talk both ways', async () => {
  await using alice = await Person.come('alice');
  await using bob = await Person.come('bob');
  const chat = await befriend(alice, bob);

  await alice.client.send(chat, 'hello bob');
  await bob.hears('hello bob');
  await bob.client.send(chat, 'hello alice');
  const heard = await alice.hears('hello alice');

  expect(heard.sender).toBe('bob@home.example');
  expect(alice.client.fingerprint('bob')).toBe(bob.client.fingerprint('alice'));
  expect(alice.client.members(chat)).toHaveLength(2);
});
