import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { type Domain, parseDomain } from '@roost/core/ids';
import { z } from 'zod';
import type { Options } from './command-line.ts';
import { lockHome } from '@roost/service/home-lock';

/** Where a homeserver keeps everything, opened by this process alone. */
export interface Home extends Disposable {
  readonly folder: string;
  readonly domain: Domain;
  /** Part of each outbox number (design §6): grows with each restored backup of the database. */
  readonly incarnation: number;
  /** 32 bytes for each purpose, drawn once. They live outside of the database. */
  readonly secret: (purpose: string) => Promise<Uint8Array>;
}

type Wanted = Pick<Options, 'domain' | 'development' | 'reset' | 'yes'>;

/** Opens the data folder, made where it is not there. It belongs to one domain for ever. */
export async function openHome(given: string, wanted: Wanted): Promise<Home> {
  const folder = resolve(given);
  await makeFolder(folder);
  const lock = await lockHome(folder);
  try {
    if (wanted.reset) await reset(folder, wanted.yes);
    const { domain, incarnation } = await openIdentity(folder, wanted);
    const secret = secrets(join(folder, 'keys.json'));
    return { folder, domain, incarnation, secret, [Symbol.dispose]: () => lock[Symbol.dispose]() };
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** All that we ever put there: what somebody else keeps in the folder is not ours to delete. */
const OURS =
  /^(postgresql-.*|postgresql\.log|run|secrets\.json|keys\.json|homeserver\.json|assets)(\.new)?$/;

const identitySchema = z.object({
  version: z.literal(1),
  domain: z.string().transform((text) => parseDomain(text)),
  incarnation: z.int().positive(),
});

async function makeFolder(folder: string): Promise<void> {
  try {
    // PostgreSQL is another user where we are root, and must get through; it sees no names.
    const mode = process.getuid?.() === 0 ? 0o711 : 0o700;
    const made = await mkdir(folder, { recursive: true, mode });
    if (made !== undefined) await chmod(folder, mode);
    await readdir(folder);
    await writeFile(join(folder, '.writable'), '');
    await rm(join(folder, '.writable'));
  } catch (error) {
    const why = errorCode(error) ?? String(error);
    throw new CannotStart(
      `the data folder ${folder} cannot be used (${why}): choose one that you can write to (--data)`,
      { cause: error },
    );
  }
}

async function reset(folder: string, yes: boolean): Promise<void> {
  const doomed = (await readdir(folder)).filter((name) => OURS.test(name));
  if (doomed.length === 0) return;
  if (!yes) await confirm(folder);
  // The identity last: what a killed reset left is still somebody's.
  const last = 'homeserver.json';
  for (const name of [...doomed.filter((each) => each !== last), last]) {
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function confirm(folder: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new CannotStart(
      '--reset asks before it deletes, and there is no terminal to ask: add --yes',
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // Ctrl-C and Ctrl-D close the terminal without an answer.
  const closed = new AbortController();
  terminal.once('close', () => closed.abort());
  const question = `This deletes every account, group and message in ${folder}, for ever. Type yes to go on: `;
  const answer = await terminal.question(question, { signal: closed.signal }).catch(() => 'no');
  terminal.close();
  if (answer.trim().toLowerCase() !== 'yes') throw new CannotStart('nothing was deleted');
}

async function openIdentity(folder: string, { domain, development }: Wanted) {
  const file = join(folder, 'homeserver.json');
  const known = await readJson(file);
  if (known === undefined) {
    const chosen = domain ?? (development ? parseDomain('localhost') : undefined);
    if (chosen === undefined) {
      throw new CannotStart(
        'the first start needs the home domain: give --domain, such as example.org',
      );
    }
    const identity = { version: 1, domain: chosen, incarnation: 1 } as const;
    await writeJson(file, identity);
    return identity;
  }
  const identity = identitySchema.safeParse(known);
  if (!identity.success) {
    throw new CannotStart(`${file} is damaged, or of another version: restore it from a backup`);
  }
  if (domain !== undefined && domain !== identity.data.domain) {
    throw new CannotStart(
      `the data in ${folder} belongs to ${identity.data.domain}, and a home domain never changes: ` +
        `leave out --domain ${domain}, or give ${domain} a data folder of its own (--data)`,
    );
  }
  return identity.data;
}

/** A file of hex; what it lacks is drawn and written before it is used. */
function secrets(file: string): Home['secret'] {
  const schema = z.record(z.string(), z.hex().length(64));
  let last: Promise<unknown> = Promise.resolve();
  const draw = async (purpose: string): Promise<Uint8Array> => {
    const read = await readJson(file);
    const known = schema.safeParse(read === undefined ? {} : read);
    if (!known.success) {
      throw new CannotStart(
        `${file} is damaged: restore it from a backup, what it sealed is lost without`,
      );
    }
    const kept = known.data[purpose] ?? randomBytes(32).toString('hex');
    if (known.data[purpose] === undefined) {
      await writeJson(file, { ...known.data, [purpose]: kept });
    }
    return new Uint8Array(Buffer.from(kept, 'hex'));
  };
  // One after the other: each reads what the one before has written.
  return (purpose) => {
    const drawn = last.then(() => draw(purpose));
    last = drawn.catch(() => undefined);
    return drawn;
  };
}

/** `undefined` where there is no file, `null` where it is no JSON. */
async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new CannotStart(`${file} cannot be read: ${String(error)}`, { cause: error });
  }
}

/** Whole or not at all. */
async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, {
    mode: 0o600,
    flush: true,
  });
  await rename(`${file}.new`, file);
}
