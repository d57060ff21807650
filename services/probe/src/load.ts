import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { sleep } from '@roost/core/time';
import type { ProbeConfig } from './config.ts';
import { Heard, type News } from './heard.ts';
import { acquaint, type Side } from './story.ts';
import { Tally } from './tally.ts';
import { registerUsers } from './users.ts';

export interface Load {
  readonly config: ProbeConfig;
  readonly pairs: number;
  readonly everyMs: number;
  readonly say: (line: string) => void;
}

const SAY_EVERY_MS = 10_000;
/** How long what is under way may take, once nothing more is sent. */
const REST_MS = 5 * 60_000;

/**
 * Pairs who write to each other all the time, until they are told to stop; then everything that was sent has to have
 * come, once and in its order. Whatever happens to the homeserver meanwhile, they go on.
 */
export async function load(
  { config, pairs, everyMs, say }: Load,
  stop: Promise<unknown>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'roost-load-'));
  await using ends = new AsyncDisposableStack();
  ends.defer(async () => await rm(folder, { recursive: true, force: true }));
  const tally = new Tally();
  const stopping = new AbortController();
  void stop.then(() => stopping.abort());
  const isStopping = (): boolean => stopping.signal.aborted;

  const users = (await registerUsers({ config, folder, count: 2 * pairs })).map((user) =>
    ends.use(user),
  );
  const sides = users.map(({ client }, index): Side => {
    const told = (event: News): void => tally.heard(index, event);
    return { client, heard: new Heard(client, told) };
  });
  const writers: Promise<void>[] = [];
  for (let at = 0; at < sides.length; at += 2) {
    const [first, second] = [sides[at], sides[at + 1]];
    if (first === undefined || second === undefined) break;
    const chat = await acquaint(first, second);
    writers.push(write({ side: first, chat, to: at + 1, everyMs }, tally, isStopping));
    writers.push(write({ side: second, chat, to: at, everyMs }, tally, isStopping));
  }
  say(`${pairs} pairs write to each other`);
  let saidAt = 0;
  while (!isStopping()) {
    if (Date.now() - saidAt >= SAY_EVERY_MS) say(tally.line());
    if (Date.now() - saidAt >= SAY_EVERY_MS) saidAt = Date.now();
    await sleep(200);
  }
  await Promise.all(writers);
  for (const end = Date.now() + REST_MS; tally.missing > 0 && Date.now() < end;) await sleep(200);
  say(tally.line());
  const wrong = tally.wrong();
  if (wrong.length > 0) throw new CannotStart(wrong.join('\n'));
}

interface Writing {
  readonly side: Side;
  readonly chat: string;
  /** Whose it is to hear it. */
  readonly to: number;
  readonly everyMs: number;
}

/** Written down first and sent by the client when it can: nothing here waits for the homeserver. */
async function write(
  { side, chat, to, everyMs }: Writing,
  tally: Tally,
  isStopping: () => boolean,
): Promise<void> {
  while (!isStopping()) {
    const text = tally.next(to);
    await side.client.send(chat, text);
    await sleep(everyMs * (0.5 + Math.random()));
  }
}
