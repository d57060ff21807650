import { spawn } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';

const COMMANDS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const APT = '/usr/bin/apt-get';

/**
 * The program of a Chromium: what CHROMIUM names, else the one on the PATH, else Debian's package, installed where we
 * are root. Throws `CannotStart` with one sentence where it cannot be had.
 */
export async function findChromium(
  say = (line: string): void => void process.stderr.write(`servers: ${line}\n`),
): Promise<string> {
  const named = process.env['CHROMIUM'];
  if (named !== undefined && named !== '') {
    if (await isProgram(named)) return named;
    throw new CannotStart(`CHROMIUM=${named} is not a program: name a Chromium, or none`);
  }
  const found = await findOnPath();
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && existsSync(APT)) {
    say('installing chromium with apt-get ...');
    await run(APT, ['-q', 'update']);
    await run(APT, ['-q', 'install', '-y', '--no-install-recommends', 'chromium']);
    const installed = await findOnPath();
    if (installed !== undefined) return installed;
  }
  throw new CannotStart('no Chromium is on the PATH: install chromium, or name one in CHROMIUM');
}

async function findOnPath(): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const path of COMMANDS.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    if (await isProgram(path)) return path;
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** That it failed shows in there being no Chromium after it. */
async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, {
    stdio: 'ignore',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  await new Promise<void>((done) => {
    child.once('error', () => done());
    child.once('close', () => done());
  });
}
