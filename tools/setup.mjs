// The set-up step of every command. Plain JavaScript that Node 20 can run: it brings Node 24 and
// pnpm from npm, installs what the lockfile says, and generates the code of the protobufs.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PNPM = 'pnpm@12.21.0';
const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');

function run(say, command, args) {
  const began = Date.now();
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (done.status === 0) return Date.now() - began;
  process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}\n`);
  process.stderr.write(`set-up failed while ${say}; the first run needs the package registry\n`);
  process.exit(1);
}

// pnpm writes what it installed; where that is today's lockfile there is nothing to do.
function installed() {
  const [want, have] = [join(root, 'pnpm-lock.yaml'), join(root, 'node_modules/.pnpm/lock.yaml')];
  return existsSync(have) && readFileSync(want, 'utf8') === readFileSync(have, 'utf8');
}

if (!installed()) {
  process.stderr.write('set-up: installing packages (about 10 s the first time) ...\n');
  const ms = run('installing packages', 'npx', [
    ...['--yes', '--prefer-offline', PNPM],
    ...['install', '--frozen-lockfile', '--prefer-offline'],
  ]);
  process.stderr.write(`set-up: packages installed in ${(ms / 1000).toFixed(1)} s\n`);
}

const node24 = join(root, 'node_modules/.bin/node');
run('generating code from the protobufs', existsSync(node24) ? node24 : process.execPath, [
  join(root, 'tools/gen.ts'),
]);
