// Invariants 4 and 11 with the real thing: a homeserver is backed up while people talk, goes on, is lost
// and restored. What was spent before and after the backup stays spent; people who went on go on, hear
// nothing twice, and are told that something may be missing.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { connectTo } from '@roost/e2e/door';
import { befriend, Person } from '@roost/e2e/person';
import { Program } from '@roost/e2e/program';
import { Tokens } from '@roost/e2e/tokens';
import { Witness } from '@roost/e2e/witness';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf } from '@roost/rpc/client';

let root: string;
let homeserver: Program;
let address = '127.0.0.1:0';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'roost-restore-'));
  // PostgreSQL runs as another user where we are root, and must get through.
  await chmod(root, 0o711);
  await start();
});
afterAll(async () => {
  if (homeserver.isRunning) await homeserver.end('SIGTERM');
  await rm(root, { recursive: true, maxRetries: 5 });
});

const inside = (name: string): string => join(root, name);

async function start(): Promise<void> {
  const place = ['--data', inside('home'), '--listen', address];
  homeserver = new Program('services/homeserver/src/main.ts', ['--development', ...place]);
  address = await homeserver.says(/ready: http:\/\/(\S+)/);
}

async function roostctl(...args: readonly string[]): Promise<string> {
  const program = new Program('services/ctl/src/main.ts', ['--data', inside('home'), ...args]);
  expect([await program.end(), program.out]).toEqual([0, program.out]);
  return program.out;
}

/** What is said to a call that pays with a token. */
async function pay(token: Uint8Array): Promise<string> {
  using channel = connectTo({ address });
  const client = clientOf(AuthenticationServiceDefinition, channel);
  try {
    await client.findUser({ userName: 'ben' }, { token });
    return 'OK';
  } catch (error) {
    return error instanceof Failure ? error.reason : String(error);
  }
}

test('a restored homeserver lets nothing pass twice, and those who were ahead of it go on', async () => {
  const come = (name: string): Promise<Person> => Person.come(name, { address, folder: root });
  await using ann = await come('ann');
  await using ben = await come('ben');
  await befriend(ann, ben);
  const chat = await ann.client.createGroup('garden', ['ben']);
  await ben.until('joined', (event) => event.chat === chat);
  const say = async (who: Person, words: string): Promise<void> => {
    await (
      await who.client.send(chat, words)
    ).sent;
  };
  await say(ann, 'before');
  await ben.hears('before');
  await using witness = await Witness.come({ address }, 'tom');
  // A client draws all that it may.
  await roostctl('users', 'limits', 'tom', '--contact', '1000');
  const purse = await Tokens.of(witness, { address });
  await purse.draw('contact', 10);
  const [first, second, third] = [
    await purse.takeRaw('contact'),
    await purse.takeRaw('contact'),
    await purse.takeRaw('contact'),
  ];
  expect(await pay(first)).toBe('OK');

  expect(await roostctl('backup', '--out', inside('backup'))).toMatch(/backed up to/);
  // What the backup knows nothing of: a token, messages, another epoch.
  expect(await pay(second)).toBe('OK');
  await say(ann, 'since, one');
  await ben.hears('since, one');
  await ann.client.setTitle(chat, 'orchard');
  await say(ben, 'since, two');
  await ann.hears('since, two');
  await homeserver.end('SIGTERM');
  await rm(inside('home'), { recursive: true });

  expect(await roostctl('restore', '--from', inside('backup'))).toMatch(/localhost is back in/);
  await start();
  for (const token of [first, second, third]) expect(await pay(token)).toBe('TOKEN_INVALID');
  // Both have left the epoch that the hub has: each comes back, and hears that something may be missing.
  for (const who of [ann, ben]) {
    await who.until('lost');
    await who.until('returned', (event) => event.chat === chat);
  }
  // What somebody said before the other was back is among what is missing.
  const reach = async (who: Person, other: Person): Promise<void> => {
    for (let number = 1; ; number++) {
      const words = `${who.name} after, ${number}`;
      await say(who, words);
      const isWords = ({ text }: { text: string }): boolean => text === words;
      const heard = await other.until('message', isWords, 5_000).catch(() => undefined);
      if (heard !== undefined) return;
    }
  };
  await reach(ann, ben);
  await reach(ben, ann);
  for (const who of [ann, ben]) expect(new Set(who.texts()).size).toBe(who.texts().length);
  expect(ben.texts().slice(0, 2)).toEqual(['before', 'since, one']);
  expect(ann.texts()[0]).toBe('since, two');

  // Whoever is new is added with a KeyPackage that nobody was handed before.
  await using kim = await come('kim');
  await befriend(ann, kim);
  await ann.client.add(chat, ['kim']);
  await Promise.all([
    kim.until('joined', (event) => event.chat === chat),
    // Before he has heard of it he speaks at an epoch that is not for kim to read.
    ben.until('added', (event) => event.chat === chat && event.name.startsWith('kim@')),
  ]);
  await say(ben, 'welcome');
  await kim.hears('welcome');
}, 300_000);
