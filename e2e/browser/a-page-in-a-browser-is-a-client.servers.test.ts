import { connect as connectTls } from 'node:tls';
import { afterAll, expect, test } from '@jest/globals';
import type { Door } from '@roost/e2e/door';
import { Person } from '@roost/e2e/person';
import { Run } from '@roost/e2e/servers/run';
import { World } from '@roost/e2e/world';
import { openAllInOneWithTls } from './all-in-one.ts';
import { Browser } from './browser.ts';
import type { Heard } from './page.ts';
import type { Tab } from './tab.ts';

/** The two ways in which a homeserver is run. */
const HOMES: Readonly<Record<string, () => Promise<AsyncDisposable & { readonly door: Door }>>> = {
  'separate services behind Envoy': async () => World.open(),
  'all in one': openAllInOneWithTls,
};

const names = Object.keys(HOMES);
const stages = new Map<string, Promise<Stage>>();
const stack = new AsyncDisposableStack();
afterAll(async () => stack.disposeAsync());

interface Stage {
  readonly door: Door;
  readonly baseUrl: string;
  readonly browser: Browser;
}

async function stageOf(home: string): Promise<Stage> {
  const known = stages.get(home) ?? openStage(home);
  stages.set(home, known);
  return known;
}

async function openStage(home: string): Promise<Stage> {
  const open = HOMES[home];
  if (open === undefined) throw new Error(`there is no ${home}`);
  const { door } = stack.use(await open());
  const browser = stack.use(await Browser.open([await certificateOf(door)]));
  return { door, baseUrl: `https://${door.address}`, browser };
}

/** The certificate of a door, as who believes its authority gets it. */
async function certificateOf({ address, ca }: Door): Promise<string> {
  const [host = '', port = ''] = address.split(':');
  const socket = connectTls({ host, port: Number(port), ca });
  const certificate = await new Promise<string>((resolve, reject) => {
    socket.once('secureConnect', () => resolve(socket.getPeerX509Certificate()?.toString() ?? ''));
    socket.once('error', reject);
  });
  socket.destroy();
  return certificate;
}

async function comePerson(name: string, door: Door): Promise<Person> {
  const folder = Run.current().makeFolder('people');
  return stack.use(await Person.come(name, { ...door, folder }));
}

/** A page and somebody on Node who can talk. */
async function meet({ door, baseUrl, browser }: Stage, page: string, other: string) {
  const tab = await browser.tab();
  const person = await comePerson(other, door);
  value(await tab.enter(baseUrl, page));
  value(await tab.connect(other));
  await person.until('request');
  await person.client.accept(page);
  const { chat } = await tab.until('connected');
  return { tab, person, chat };
}

function value(heard: Heard): string {
  if ('refused' in heard) throw new Error(`refused: ${heard.refused}`);
  return heard.value;
}

test.each(names)('%s: a page registers, connects and chats both ways', async (home) => {
  const { tab, person, chat } = await meet(await stageOf(home), 'page', 'nora');

  value(await tab.send(chat, 'from a browser'));
  const heard = await person.hears('from a browser');
  await person.client.send(chat, 'to a browser');
  await tab.until('message', { text: 'to a browser' });

  expect(heard.sender).toMatch(/^page@/);
  expect(await tab.reports()).toEqual([]);
});

test.each(names)('%s: what comes in comes by the open stream, nobody asks for it', async (home) => {
  const { tab, person, chat } = await meet(await stageOf(home), 'listener', 'live');
  value(await tab.send(chat, 'the line stands'));
  await tab.calm();

  const texts = Array.from({ length: 20 }, (_, at) => `live ${at}`);
  const calls = await callsDuring(tab, async () => {
    for (const text of texts) {
      await person.client.send(chat, text);
      await tab.until('message', { text });
    }
  });

  expect(calls).toEqual([]);
  expect(tab.calls.filter((path) => path.endsWith('QueueService/Listen'))).toHaveLength(1);
  expect(tab.calls.filter((path) => path.endsWith('/Dequeue'))).toEqual([]);
});

/** Does something, and says which calls the tab began until it had its effect. */
async function callsDuring(tab: Tab, run: () => Promise<void>): Promise<string[]> {
  const before = tab.calls.length;
  await run();
  return tab.calls.slice(before);
}

test.each(names)('%s: a page that is loaded anew goes on where it was', async (home) => {
  const stage = await stageOf(home);
  const { tab, person, chat } = await meet(stage, 'reloaded', 'rita');
  value(await tab.send(chat, 'before'));
  await person.hears('before');

  await tab.reload();
  await person.client.send(chat, 'while it was away');
  const name = value(await tab.enter(stage.baseUrl, 'reloaded'));
  await tab.until('message', { text: 'while it was away' });
  value(await tab.send(chat, 'after'));
  await person.hears('after');

  expect(name).toMatch(/^reloaded@/);
  expect((await tab.history(chat)).map(([, text]) => text)).toEqual([
    ...['before', 'while it was away', 'after'],
  ]);
  expect(await tab.reports()).toEqual([]);
});

test.each(names)('%s: of two tabs the newer takes over, and the older hears it', async (home) => {
  const stage = await stageOf(home);
  const { tab: older, person, chat } = await meet(stage, 'twice', 'theo');
  value(await older.send(chat, 'from the older'));
  const newer = await stage.browser.tab();

  value(await newer.enter(stage.baseUrl, 'twice'));
  expect(await older.ended()).toBe('taken over');
  await person.client.send(chat, 'to whoever is there');
  await newer.until('message', { text: 'to whoever is there' });
  value(await newer.send(chat, 'from the newer'));
  await person.hears('from the newer');

  expect(person.texts()).toEqual(['from the older', 'from the newer']);
  expect(await older.texts()).toEqual([]);
  expect([...(await older.reports()), ...(await newer.reports())]).toEqual([]);
});

test.each(names)('%s: a tab that was frozen loses its client all the same', async (home) => {
  const stage = await stageOf(home);
  const { tab: older, person, chat } = await meet(stage, 'frozen', 'fritz');
  const newer = await stage.browser.tab();
  await older.freeze();

  value(await newer.enter(stage.baseUrl, 'frozen'));
  await person.client.send(chat, 'to the newer');
  await newer.until('message', { text: 'to the newer' });
  await older.thaw();

  expect(await older.ended()).toBe('taken over');
  expect(await older.texts()).toEqual([]);
});

test.each(names)('%s: a page whose network was gone is back with it', async (home) => {
  const { tab, person, chat } = await meet(await stageOf(home), 'plugged', 'paul');
  await tab.setOffline(true);
  const sending = tab.send(chat, 'from the tunnel');
  await tab.until('away');
  const { sent } = await person.client.send(chat, 'while it was off');
  await sent;
  const before = tab.calls.length;
  await tab.setOffline(false);
  const onlineMs = Date.now();

  // A browser that plays being away may still hear on the line of before: a new one is the sign.
  await tab.untilCalled('QueueService/Listen', before);
  // Sooner than the server's next word on the old line, which comes every 25 s.
  expect(Date.now() - onlineMs).toBeLessThan(8_000);
  await tab.until('message', { text: 'while it was off' });
  value(await sending);
  await person.hears('from the tunnel');
  expect(await tab.reports()).toEqual([]);
});

test.each(names)('%s: a page hears why it was refused', async (home) => {
  const { door, baseUrl, browser } = await stageOf(home);
  await comePerson('taken', door);
  const tab = await browser.tab();
  const heard = async (
    ...[path, bare]: Parameters<Tab['call']> extends [string, ...infer R] ? R : never
  ) => tab.call(baseUrl, path, bare);
  const send = '/roost.delivery.v1.DeliveryService/SendMessage';
  const homeserver = '/roost.authentication.v1.AuthenticationService/GetHomeserver';

  expect(await tab.enter(baseUrl, 'taken')).toEqual({ refused: 'NAME_TAKEN' });
  expect(await heard(send)).toEqual({ refused: 'TOKEN_REQUIRED' });
  const bad = 'PrivateToken token="AAAA"';
  expect(await heard(send, { authorization: bad })).toEqual({ refused: 'TOKEN_INVALID' });
  expect(await heard('/roost.delivery.v1.DeliveryService/Nonsense')).toEqual({
    refused: 'METHOD_UNKNOWN',
  });
  expect(await heard('/roost.tokens.v1.TokenService/IssueTokens')).toMatchObject({
    refused: expect.stringMatching(/^(UNAUTHENTICATED|MALFORMED)$/),
  });
  expect(await heard(homeserver, { bytes: 1 << 20 })).toEqual({ refused: 'TOO_LARGE' });
  expect(await heard(homeserver)).toHaveProperty('value');
});

test.each(names)('%s: a browser that was not told whom to believe does not', async (home) => {
  const { baseUrl } = await stageOf(home);
  await using stranger = await Browser.open([]);
  const tab = await stranger.tab();

  const path = '/roost.authentication.v1.AuthenticationService/GetHomeserver';
  expect(await tab.call(baseUrl, path)).toEqual({ refused: 'UNAVAILABLE' });
});
