import { readFileSync } from 'node:fs';
import { isNativeError } from 'node:util/types';
import { openNodeClient, type NodeClient } from '@roost/client/node/open';
import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { sleep } from '@roost/core/time';
import { HELP, Misused, type Options, parseOptions } from './options.ts';
import { Screen } from './screen.ts';
import { plain, Session } from './session.ts';
import { unfinishedLine } from './view.ts';

const POLL_MS = 50;
/** Who waits in a terminal and says /quit does not wait long. */
const QUIT_MS = 5_000;

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof CannotStart)) throw error;
  tell(error.message);
  return error instanceof Misused ? 2 : 1;
});

function giveUp(): void {
  process.exit(130);
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.env);
  if (options === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  const stop = stopSignal();
  // Nothing is lost by an end in the middle: every step is written down before it is taken.
  stop.addEventListener('abort', giveUp);
  await using opened = await open(options);
  stop.removeEventListener('abort', giveUp);
  const screen = new Screen();
  const session = new Session(opened.client, screen);
  await session.begin();
  const following = session.follow();
  tell(`${opened.client.userName} is ready; /help lists the commands`);

  const stopped = aborted(stop);
  let ended: 'input' | 'quit' = 'input';
  for await (const line of screen.lines(stop)) {
    const went = await Promise.race([session.take(line), stopped]);
    if (stop.aborted) break;
    if (went !== 'quit') continue;
    ended = 'quit';
    break;
  }
  screen.close();
  if (ended === 'input' && options.stays) await stopped;
  const waitMs =
    ended === 'quit' && screen.isTerminal ? Math.min(options.waitMs, QUIT_MS) : options.waitMs;
  const unsent = stop.aborted ? 0 : await settle(opened, session, screen, waitMs);
  await opened.client.close();
  await following;
  return unsent === 0 ? 0 : 1;
}

/** Opens the client of the folder; what stands in the way is one sentence. */
async function open(options: Options): Promise<NodeClient> {
  const { data: folder, name: userName, inviteCode } = options;
  const server = { ...options.server, ca: options.tlsCa && readCa(options.tlsCa) };
  const said = new Set<string>();
  try {
    return await openNodeClient({
      folder,
      server,
      userName,
      inviteCode,
      registering: () => tell(`registering ${userName} at ${server.address} …`),
      report: (error) => {
        const text = reported(error);
        if (!said.has(text)) tell(text);
        said.add(text);
      },
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.reason === 'UNAVAILABLE' || error.reason === 'DRAINING') {
      throw new CannotStart(
        `no homeserver answers on ${server.address}: start one (npm start), or name another (--server)`,
        { cause: error },
      );
    }
    if (error.reason === 'INVITE_REQUIRED') {
      throw new CannotStart(`${plain(error)}: give one with --invite`, { cause: error });
    }
    throw new CannotStart(plain(error), { cause: error });
  }
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CannotStart(`--tls-ca ${file} cannot be read: ${String(error)}`, { cause: error });
  }
}

/** What nobody answers for, as one line. */
function reported(error: unknown): string {
  if (error instanceof Failure && error.reason === 'UNAUTHENTICATED') {
    return `refused: ${error.message}. If the homeserver was reset, it knows this user no more: give another folder (--data)`;
  }
  return `unexpected: ${isNativeError(error) ? error.message : String(error)}`;
}

/** Waits until everything is done at the homeserver; names what is not. */
async function settle(
  { client }: NodeClient,
  session: Session,
  screen: Screen,
  waitMs: number,
): Promise<number> {
  const deadline = Date.now() + waitMs;
  while ((client.unfinished().length > 0 || client.unread().length > 0) && Date.now() < deadline) {
    await sleep(POLL_MS);
  }
  const unfinished = client.unfinished();
  for (const each of unfinished) screen.print(unfinishedLine(each, session.scene));
  return unfinished.length;
}

/** Aborted when somebody asks the process to end. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stop.abort());
  }
  return stop.signal;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
}

/** Progress goes to standard error: standard output is for lines of chats. */
function tell(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}
