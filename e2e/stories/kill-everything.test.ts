// Invariants 2, 3, 4 and 11 with the real thing: the homeserver as its user starts it, its PostgreSQL
// and the clients are killed at any instant while two people talk. Every message that was written
// down arrives, once, in order; what was spent stays spent.
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { openNodeClient } from '@roost/client/node/open';
import { Program } from '@roost/e2e/program';
import { Tokens } from '@roost/e2e/tokens';
import { Wire } from '@roost/e2e/wire';
import { Witness } from '@roost/e2e/witness';

const MAIN = 'services/homeserver/src/main.ts';
const TALKER = 'e2e/client/talker.fixture.ts';
const FIND = '/roost.authentication.v1.AuthenticationService/FindUser';
const ACK = '/roost.queue.v1.QueueService/Ack';
const NAMES = ['kim', 'lou'] as const;
const LINES = 150;
const PAUSE_MS = 100;
/** What is killed, one after the other; each comes back. */
const ROUNDS = [
  ...['homeserver', 'kim', 'homeserver and database', 'database', 'homeserver', 'all'],
] as const;

let root: string;
let data: string;
let address = '';
let homeserver: Program;
const talkers = new Map<string, Program>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'roost-kill-'));
  // PostgreSQL runs as another user where we are root, and must get through.
  await chmod(root, 0o711);
  data = join(root, 'home');
  homeserver = start('127.0.0.1:0');
  address = await homeserver.says(/ready: http:\/\/(\S+)/);
});
afterAll(async () => {
  for (const talker of talkers.values()) await talker.end('SIGKILL');
  if (homeserver.isRunning) await homeserver.end('SIGTERM');
  else await killDatabase('SIGINT').catch(() => undefined);
  await rm(root, { recursive: true, maxRetries: 5 });
});

function start(listen: string): Program {
  return new Program(MAIN, ['--development', '--data', data, '--listen', listen]);
}

function talk(name: string): void {
  const args = [
    join(root, name),
    JSON.stringify({ address }),
    name,
    String(LINES),
    String(PAUSE_MS),
  ];
  talkers.set(name, new Program(TALKER, args));
}

async function restart(): Promise<void> {
  homeserver = start(address);
  await homeserver.says(/ready: /);
}

async function killDatabase(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const file = await readFile(join(data, 'postgresql-18/postmaster.pid'), 'utf8');
  process.kill(Number(file.split('\n')[0]), signal);
}

async function kill(what: (typeof ROUNDS)[number]): Promise<void> {
  const ends: Promise<unknown>[] = [];
  const those = what === 'all' ? NAMES : NAMES.filter((name) => name === what);
  for (const name of those) ends.push(talkers.get(name)?.end('SIGKILL') ?? Promise.resolve());
  const isServer = what === 'all' || what.startsWith('homeserver');
  if (isServer) ends.push(homeserver.end('SIGKILL'));
  if (what === 'all' || what.endsWith('database')) ends.push(killDatabase());
  await Promise.all(ends);
  if (isServer) await restart();
  for (const name of those) talk(name);
}

/** Two that are connected, each with a store on disk. */
async function introduce(): Promise<void> {
  const server = { address, isTls: false };
  const open = async (name: string) =>
    await openNodeClient({ folder: join(root, name), server, userName: name });
  await using kim = await open('kim');
  await using lou = await open('lou');
  await kim.client.connect('lou');
  while (lou.client.requests().length === 0) await sleep(20);
  await lou.client.accept();
  while (kim.client.chats()[0]?.isOpen !== true) await sleep(20);
}

/** What somebody's store holds in the end. */
async function historyOf(name: string): Promise<{ own: string[]; others: string[] }> {
  const server = { address, isTls: false };
  await using opened = await openNodeClient({ folder: join(root, name), server, userName: name });
  const { client } = opened;
  const lines = await client.history(client.chats()[0]?.id ?? '', 10 * LINES);
  const of = (isOwn: boolean) => lines.filter((line) => line.isOwn === isOwn);
  return { own: of(true).map(({ text }) => text), others: of(false).map(({ text }) => text) };
}

test('whatever is killed, all arrives once and in order, and no token is good twice', async () => {
  await introduce();
  const spent: string[] = [];
  let unspent = '';
  {
    await using mia = await Witness.come({ address }, 'mia');
    const tokens = await Tokens.of(mia, { address });
    for (let count = 0; count < ROUNDS.length; count++) spent.push(await tokens.take('general'));
    unspent = await tokens.take('general');
  }
  const wire = new Wire({ address });
  const pay = async (authorization: string): Promise<string> =>
    (await wire.grpc({ path: ACK, authorization })).said;
  // Right after a kill nobody may be there to take it; then it was spent, or is sent once more (design §4).
  const spend = async (authorization: string): Promise<string> => {
    const answers: string[] = [];
    do {
      if (answers.length > 0) await sleep(100);
      answers.push(await pay(authorization));
    } while (answers.at(-1) === 'UNAVAILABLE' && answers.length < 200);
    const said = answers.at(-1) ?? '';
    return said === 'TOKEN_SPENT' && answers.length > 1 ? 'UNAUTHENTICATED' : said;
  };
  for (const name of NAMES) talk(name);

  for (const [round, what] of ROUNDS.entries()) {
    await sleep(600 + Math.random() * 900);
    // Spent, and the next moment all may be gone: it asks for a proof, as the token was good.
    expect(await spend(spent[round] ?? '')).toBe('UNAUTHENTICATED');
    await kill(what);
  }
  const second = start('127.0.0.1:0');
  expect(await second.end()).toBe(1);
  expect(second.out).toMatch(/another homeserver \(process \d+\) runs/);
  for (const talker of talkers.values())
    expect([await talker.end(), talker.out]).toEqual([0, 'done\n']);

  const numbered = (name: string) => Array.from({ length: LINES }, (_, at) => `${name} ${at}`);
  expect(await historyOf('kim')).toEqual({ own: numbered('kim'), others: numbered('lou') });
  expect(await historyOf('lou')).toEqual({ own: numbered('lou'), others: numbered('kim') });
  for (const token of spent) expect(await pay(token)).toBe('TOKEN_SPENT');
  expect(await pay(unspent)).toBe('UNAUTHENTICATED');
  expect((await wire.grpc({ path: FIND, authorization: unspent })).said).toBe('TOKEN_REQUIRED');
  expect(await homeserver.end('SIGTERM')).toBe(0);
});
