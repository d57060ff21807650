import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { sleep } from '@roost/core/time';
import type { Transport } from '@roost/rpc/client';
import type { ProbeConfig } from './config.ts';
import { Heard } from './heard.ts';
import { Purse } from './purse.ts';
import { acquaint, type Side } from './story.ts';
import { registerUsers } from './users.ts';

interface Restored {
  readonly config: ProbeConfig;
  /** The folder where the operator's files tell what was done: `backed-up`, `restored`. */
  readonly told: string;
  readonly say: (line: string) => void;
}

/** How long a homeserver may take that starts from nothing. */
const PATIENCE_MS = 5 * 60_000;
const HEAR_MS = 5_000;
const LOOK_MS = 500;

/**
 * Two people whose homeserver is backed up, goes on, and is lost and restored: they go on from where they are, which the
 * backup knows nothing of, and nothing that was spent is good for anything.
 */
export async function liveThroughRestore({ config, told, say }: Restored): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'roost-restored-'));
  await using ends = new AsyncDisposableStack();
  ends.defer(async () => await rm(folder, { recursive: true, force: true }));
  const purses: Purse[] = [];
  const around = (way: Transport): Purse => {
    const purse = new Purse(way);
    purses.push(purse);
    return purse;
  };
  const users = await registerUsers({ config, folder, count: 2, around });
  const [ann, ben] = users.map((user): Side => {
    const { client } = ends.use(user);
    return { client, heard: new Heard(client) };
  });
  const [purse] = purses;
  assert(ann && ben && purse, 'two were asked for');

  await acquaint(ann, ben);
  const group = await ann.client.createGroup('probe', [ben.client.userName]);
  const inGroup = ({ chat }: { chat: string }): boolean => chat === group;
  await ben.heard.hears('joined', inGroup);
  await reach(ann, ben, group, 'before');
  await reach(ben, ann, group, 'before');
  say('ready: back it up');
  await isThere(join(told, 'backed-up'));

  // What the backup knows nothing of: another epoch, messages, tokens that were spent.
  await ann.client.setTitle(group, 'since');
  await reach(ben, ann, group, 'since');
  await reach(ann, ben, group, 'since');
  const token = purse.lastSpent();
  await refuses(token, 'TOKEN_SPENT');
  say('ready: lose it, and restore it');
  await isThere(join(told, 'restored'));

  await refuses(token, 'TOKEN_INVALID');
  say('a token that was spent since the backup is void');
  for (const { heard } of [ann, ben]) await heard.hears('returned', inGroup, PATIENCE_MS);
  await reach(ann, ben, group, 'after');
  await reach(ben, ann, group, 'after');
  say('both are back in their group, and each hears the other');
}

async function isThere(file: string): Promise<void> {
  while (!existsSync(file)) await sleep(LOOK_MS);
}

/** What one says the other hears; what is said before the other is back is not heard, and said again. */
async function reach(from: Side, to: Side, chat: string, when: string): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  for (let number = 1; Date.now() < end; number++) {
    const words = `${from.client.userName} ${when}, ${number}`;
    const { sent } = await from.client.send(chat, words);
    await sent;
    const heard = to.heard.hears('message', ({ text }) => text === words, HEAR_MS);
    const isHeard = await heard.then(
      () => true,
      () => false,
    );
    if (isHeard) return;
  }
  throw new CannotStart(`what one wrote (${when}) the other never heard`);
}

/** How the homeserver answers whoever comes with a token that was spent; it may be on its way back. */
async function refuses(again: () => Promise<unknown>, expected: string): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; ;) {
    const reason = await again().then(
      () => 'OK',
      (error: unknown) => (error instanceof Failure ? error.reason : String(error)),
    );
    if (reason === expected) return;
    if (!['UNAVAILABLE', 'DRAINING'].includes(reason) || Date.now() > end) {
      throw new CannotStart(`a spent token is answered ${reason}, and should be ${expected}`);
    }
    await sleep(1_000);
  }
}
