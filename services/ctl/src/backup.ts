import { existsSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { MINUTE_MS } from '@roost/core/time';
import { backUpCluster, putClusterBack } from '@roost/postgres/base-backup';
import { adminSocket } from '@roost/service/home';
import { lockHome } from '@roost/service/home-lock';
import { Misused } from '@roost/service/run';
import { z } from 'zod';

/** What a homeserver that is all in one keeps beside its databases. */
const IDENTITY = 'homeserver.json';
const SECRETS = ['keys.json', 'secrets.json'] as const;
const NOTE = 'backup.json';

/** Copies a homeserver that runs: all its databases as of one moment, its secrets and its identity. */
export async function backUp(home: string, target: string): Promise<void> {
  if (!existsSync(adminSocket(home))) {
    throw new CannotStart(
      `no homeserver runs on ${home}: start it, or copy that folder whole, which is a backup while it is stopped`,
    );
  }
  const identity = await readIdentity(join(home, IDENTITY));
  await makeTarget(target);
  await backUpCluster(home, target);
  for (const name of [...SECRETS, IDENTITY]) {
    await copyFile(join(home, name), join(target, name));
  }
  const { domain } = identity;
  // Last: what has no note is no backup.
  await writeJson(join(target, NOTE), { version: 1, domain, takenAtMs: Date.now() });
}

export interface Restored {
  readonly domain: string;
  readonly incarnation: number;
  /** Where what was there before lies now. */
  readonly replaced: string | undefined;
}

/** Puts a backup in the place of a homeserver that is stopped, and finalizes it. */
export async function restore(
  backup: string,
  home: string,
  { isReplacing }: { readonly isReplacing: boolean },
): Promise<Restored> {
  const { domain } = await readNote(join(backup, NOTE));
  await mkdir(home, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  using _ = await lockHome(home);
  const before = await readIdentity(join(home, IDENTITY)).catch(() => undefined);
  const replaced = await moveAside(home, isReplacing);
  await putClusterBack(backup, home);
  for (const name of SECRETS) await copyFile(join(backup, name), join(home, name));
  const identity = await readIdentity(join(backup, IDENTITY));
  const incarnation = nextIncarnation(Math.max(identity.incarnation, before?.incarnation ?? 0));
  await writeJson(join(home, IDENTITY), { ...identity, incarnation });
  return { domain, incarnation, replaced };
}

/** For a homeserver that is stopped, and whose folder was put back by other means. */
export async function finalize(home: string): Promise<number> {
  using _ = await lockHome(home);
  const identity = await readIdentity(join(home, IDENTITY));
  const incarnation = nextIncarnation(identity.incarnation);
  await writeJson(join(home, IDENTITY), { ...identity, incarnation });
  return incarnation;
}

/**
 * It grows with each restore and never repeats, also where the last one is not known any more: so it is the
 * time, in minutes since 1970, unless that is not more than the one before.
 */
export function nextIncarnation(before: number, nowMs = Date.now()): number {
  return Math.max(before + 1, Math.floor(nowMs / MINUTE_MS));
}

async function makeTarget(target: string): Promise<void> {
  try {
    await mkdir(target, { mode: 0o700 });
  } catch (error) {
    const why = errorCode(error) === 'EEXIST' ? 'it is there already' : String(error);
    throw new CannotStart(
      `--out ${target} cannot be made (${why}): name a folder that is not there yet`,
    );
  }
}

async function moveAside(home: string, isReplacing: boolean): Promise<string | undefined> {
  const there = ['postgresql-18', ...SECRETS, IDENTITY].filter((name) =>
    existsSync(join(home, name)),
  );
  if (there.length === 0) return undefined;
  if (!isReplacing) {
    throw new Misused(
      `there is a homeserver in ${home} already: add --yes, and it is put aside (not deleted)`,
    );
  }
  const aside = join(home, `replaced-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`);
  await mkdir(aside, { mode: 0o700 });
  for (const name of there) await rename(join(home, name), join(aside, name));
  return aside;
}

async function readIdentity(file: string): Promise<z.output<typeof identitySchema>> {
  return await readJson(file, identitySchema, 'is that the data folder of a homeserver?');
}

async function readNote(file: string): Promise<z.output<typeof noteSchema>> {
  return await readJson(
    file,
    noteSchema,
    'is that what "roostctl backup" made, and did it end well?',
  );
}

async function readJson<T>(file: string, schema: z.ZodType<T>, question: string): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(resolve(file), 'utf8')));
  } catch (error) {
    throw new CannotStart(`${file} cannot be read: ${question}`, { cause: error });
  }
}

/** Whole or not at all. */
async function writeJson(file: string, value: unknown): Promise<void> {
  const unfinished = `${file}.new`;
  {
    await using handle = await open(unfinished, 'w', 0o600);
    await writeFile(handle, `${JSON.stringify(value, undefined, 2)}\n`);
    await handle.sync();
  }
  await rename(unfinished, file);
}

const identitySchema = z.looseObject({
  domain: z.string(),
  incarnation: z.int().positive(),
});
const noteSchema = z.object({ version: z.literal(1), domain: z.string(), takenAtMs: z.int() });
