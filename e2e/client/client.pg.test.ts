import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, type ClientEvent } from '@roost/client/client';
import { NodeStore } from '@roost/client/node/store';
import { decodeRecord, encodeRecord } from '@roost/client/record';
import type { Account, Group } from '@roost/client/state';
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

/** Changes what somebody's client has written down: what a client that cheats would say. */
async function tamper<T extends object>(
  name: string,
  key: string,
  change: (record: T) => T,
): Promise<T> {
  using store = NodeStore.open(join(folder, name));
  const record = decodeRecord<T>((await store.get(key)) ?? new Uint8Array(0));
  await store.write([{ key, value: encodeRecord(change(record)) }]);
  return record;
}

async function befriend(a: Person, b: Person): Promise<string> {
  await a.client.connect(b.name);
  await b.until('request', ({ name }) => name.startsWith(`${a.name}@`));
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

test('three share a group: all hear each other, one is removed, one leaves', async () => {
  await using dora = await Person.come('dora');
  await using emil = await Person.come('emil');
  await using finn = await Person.come('finn');
  await befriend(dora, emil);
  await befriend(dora, finn);
  const chat = await dora.client.createGroup('A trip', ['emil', 'finn']);
  expect((await emil.until('joined')).title).toBe('A trip');
  expect((await finn.until('joined')).by).toBe('dora@home.example');

  await dora.client.send(chat, 'from dora');
  await Promise.all([emil.hears('from dora'), finn.hears('from dora')]);
  await finn.client.send(chat, 'from finn');
  await Promise.all([emil.hears('from finn'), dora.hears('from finn')]);
  await emil.client.setTitle(chat, 'A long trip');
  expect((await finn.until('title')).title).toBe('A long trip');

  await expect(emil.client.remove(chat, 'finn')).rejects.toThrow('only an owner');
  await dora.client.remove(chat, 'finn');
  expect((await finn.until('gone')).by).toBe('dora@home.example');
  await emil.until('removed');
  await expect(finn.client.send(chat, 'still there?')).rejects.toThrow('not in this chat');

  await emil.client.leave(chat);
  await emil.until('gone');
  await dora.until('left');
  expect(dora.client.members(chat).map(({ name }) => name)).toEqual(['dora@home.example']);
  expect(emil.client.chats().map(({ id }) => id)).not.toContain(chat);
});

test('the owner leaves: another one owns the group and can remove', async () => {
  await using gina = await Person.come('gina');
  await using hugo = await Person.come('hugo');
  await using ines = await Person.come('ines');
  await befriend(gina, hugo);
  await befriend(gina, ines);
  const chat = await gina.client.createGroup('Handed over', ['hugo', 'ines']);
  await Promise.all([hugo.until('joined'), ines.until('joined')]);

  await gina.client.leave(chat);
  await Promise.all([hugo.until('left'), ines.until('left')]);

  const owner = hugo.client.members(chat).find(({ isOwner }) => isOwner);
  expect(owner?.name).not.toBe('gina@home.example');
  const [first, other] = owner?.isSelf === true ? [hugo, ines] : [ines, hugo];
  await first.client.remove(chat, other.name);
  await other.until('gone');
});

test('in a conversation of two nobody leaves and nobody is added, and a sentence says why', async () => {
  await using jana = await Person.come('jana');
  await using karl = await Person.come('karl');
  const chat = await befriend(jana, karl);

  await expect(jana.client.leave(chat)).rejects.toThrow('nobody leaves a conversation between two');
  await expect(jana.client.add(chat, ['karl'])).rejects.toThrow('nobody is added');
});

test('a rejected request says so, and may be made again', async () => {
  await using lara = await Person.come('lara');
  await using mika = await Person.come('mika');
  await lara.client.connect('mika');
  await mika.until('request');
  await mika.client.reject();
  await lara.until('rejected');
  mika.events.length = 0;

  await lara.client.connect('mika');
  await mika.until('request');
  await mika.client.accept();
  await lara.until('connected');
});

test('two who ask each other at once are connected by one conversation', async () => {
  await using nora = await Person.come('nora');
  await using otto = await Person.come('otto');
  await Promise.allSettled([nora.client.connect('otto'), otto.client.connect('nora')]);
  const [one, two] = await Promise.all([nora.until('connected'), otto.until('connected')]);

  expect(one.chat).toBe(two.chat);
  await nora.client.send(one.chat, 'once');
  await otto.hears('once');
  expect(nora.client.chats()).toHaveLength(1);
  expect(otto.client.chats()).toHaveLength(1);
});

test('what was written before the other accepted is sent on acceptance, in order', async () => {
  await using pia = await Person.come('pia');
  await using quin = await Person.come('quin');
  await pia.client.connect('quin');
  const [chat] = pia.client.chats();
  for (const text of ['one', 'two', 'three']) await pia.client.send(chat?.id ?? '', text);
  await quin.until('request');
  await quin.client.accept();
  await quin.hears('three');

  expect(quin.texts()).toEqual(['one', 'two', 'three']);
});

test('one who was away gets what it missed, in order, once', async () => {
  await using rosa = await Person.come('rosa');
  await using sven = await Person.come('sven');
  let chat = '';
  {
    await using tina = await Person.come('tina');
    await befriend(rosa, tina);
    await befriend(rosa, sven);
    chat = await rosa.client.createGroup('Away', ['tina', 'sven']);
    await tina.until('joined');
  }
  await sven.until('joined');
  for (let count = 0; count < 5; count++) {
    await rosa.client.send(chat, `rosa ${count}`);
    await rosa.client.setTitle(chat, `Away ${count}`);
    await (
      await sven.client.send(chat, `sven ${count}`)
    ).sent;
  }
  await using tina = await Person.come('tina');
  await tina.hears('sven 4');
  await tina.hears('rosa 4');
  await tina.client.send(chat, 'back again');
  await rosa.hears('back again');

  const heard = tina.texts();
  expect(heard.filter((text) => text.startsWith('rosa'))).toEqual(
    [0, 1, 2, 3, 4].map((n) => `rosa ${n}`),
  );
  expect(heard.filter((text) => text.startsWith('sven'))).toEqual(
    [0, 1, 2, 3, 4].map((n) => `sven ${n}`),
  );
  expect(tina.client.chat(chat)?.name).toBe('Away 4');
});

test('commits that meet are both made: the one that lost is made anew', async () => {
  await using ulf = await Person.come('ulf');
  await using vera = await Person.come('vera');
  await using wim = await Person.come('wim');
  await befriend(ulf, vera);
  await befriend(ulf, wim);
  await befriend(vera, wim);
  const chat = await ulf.client.createGroup('Race', ['vera']);
  await vera.until('joined');

  const titles = Array.from({ length: 4 }, (_, at) => [
    ulf.client.setTitle(chat, `ulf ${at}`),
    vera.client.setTitle(chat, `vera ${at}`),
  ]);
  await Promise.all([...titles.flat(), vera.client.add(chat, ['wim'])]);
  await wim.until('joined');
  await wim.client.send(chat, 'all here');
  await Promise.all([ulf.hears('all here'), vera.hears('all here')]);

  const names = [ulf, vera, wim].map(({ client }) => client.chat(chat)?.name);
  expect(new Set(names).size).toBe(1);
});

test('a lost homeserver is said and reconnected to; what was written meanwhile is sent once', async () => {
  await using xena = await Person.come('xena');
  await using yves = await Person.come('yves');
  const chat = await befriend(xena, yves);
  await world.stop();
  await xena.until('away');
  await xena.client.send(chat, 'while it was away');
  await world.start();
  await xena.until('back');
  await yves.hears('while it was away');

  expect(yves.texts()).toEqual(['while it was away']);
});

test('killed at any instant, again and again, a client loses and doubles nothing', async () => {
  const COUNT = 40;
  const KILLS = 12;
  await using zoe = await Person.come('zoe');
  let chat = '';
  {
    await using abel = await Person.come('abel');
    chat = await befriend(zoe, abel);
    await zoe.until('connected');
  }
  const sending = (async () => {
    for (let at = 0; at < COUNT; at++) {
      await zoe.client.send(chat, `zoe ${at}`);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  })();
  const script = join(import.meta.dirname, 'talker.fixture.ts');
  const args = [
    '--no-warnings',
    script,
    join(folder, 'abel'),
    world.address,
    'abel',
    String(COUNT),
  ];
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const afterMs = 350 + Math.random() * 450;
    await Promise.race([
      once(child, 'exit'),
      new Promise((resolve) => setTimeout(resolve, afterMs)),
    ]);
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  const last = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  await once(last, 'exit');
  await sending;
  await zoe.hears(`abel ${COUNT - 1}`);

  const numbered = (name: string) => Array.from({ length: COUNT }, (_, at) => `${name} ${at}`);
  expect(zoe.texts()).toEqual(numbered('abel'));
  await using abel = await Person.come('abel');
  const kept = await abel.client.history(chat, 1_000);
  const of = (isOwn: boolean) =>
    kept.filter((line) => line.isOwn === isOwn).map(({ text }) => text);
  expect(of(true)).toEqual(numbered('abel'));
  expect(of(false)).toEqual(numbered('zoe'));
});

test('a joiner refuses a group in which somebody claims to be somebody else', async () => {
  await using ada = await Person.come('ada');
  {
    await using bert = await Person.come('bert');
    await using mallory = await Person.come('mallory');
    await befriend(ada, mallory);
    await befriend(ada, bert);
  }
  const bert = await tamper<Account>('bert', 'account/self', (account) => account);
  const own = await tamper<Account>('mallory', 'account/self', (account) => ({
    ...account,
    credentials: account.credentials && { ...account.credentials, ...claimOf(bert) },
  }));
  let chat = '';
  {
    await using mallory = await Person.come('mallory');
    chat = await mallory.client.createGroup('I am bert', []);
  }
  await tamper<Account>('mallory', 'account/self', () => own);
  await using mallory = await Person.come('mallory');
  await mallory.client.add(chat, ['ada']);

  const { sentence } = await ada.until('group-refused');
  expect(sentence).toContain('not who they say they are');
  expect(ada.client.chats().map(({ id }) => id)).not.toContain(chat);
});

test('a member that sees a forged leaf come in sends nothing until it is removed', async () => {
  await using cora = await Person.come('cora');
  await using dirk = await Person.come('dirk');
  let chat = '';
  {
    await using eve = await Person.come('eve');
    await befriend(cora, eve);
    await befriend(eve, dirk);
    chat = await cora.client.createGroup('Forged', ['eve']);
    await eve.until('joined');
  }
  await tamper<Group>('eve', `group/${chat}`, (group) => ({
    ...group,
    keys: { ...group.keys, linkWrapperKey: crypto.random(32) },
  }));
  await using eve = await Person.come('eve');
  await eve.client.add(chat, ['dirk']);

  await cora.until('forged');
  const { sent } = await cora.client.send(chat, 'among ourselves');
  await sent;
  expect(cora.client.members(chat).map(({ name }) => name)).toEqual([
    'cora@home.example',
    'eve@home.example',
  ]);
  expect((await dirk.until('group-refused')).sentence).toContain('not who they say');
});

function claimOf({ credentials }: Account) {
  const { clientCredential, nameBinding } = credentials ?? {};
  if (clientCredential === undefined || nameBinding === undefined)
    throw new Error('no credentials');
  return { clientCredential, nameBinding };
}
