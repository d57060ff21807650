// The set-up step of every command. Plain JavaScript that Node 20 can run: it brings Node 24 and
// pnpm from npm, installs what the lockfile says, and generates the code of the protobufs.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PNPM = 'pnpm@12.21.0';
const TIMEOUT_MS = 15 * 60_000;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lock = join(root, 'node_modules/.setup-lock');
let locked = false;

/** One sentence, and the end. */
function refuse(sentence) {
  unlock();
  process.stderr.write(`set-up: ${sentence}\n`);
  process.exit(1);
}

function run(command, args, env) {
  const began = Date.now();
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, timeout: TIMEOUT_MS, env };
  const done = spawnSync(command, args, options);
  const output = `${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}`.trim();
  return { ok: done.status === 0, output, seconds: ((Date.now() - began) / 1000).toFixed(1) };
}

/** pnpm writes what it installed; where that is today's lockfile there is nothing to do. */
function installed() {
  const [want, have] = [join(root, 'pnpm-lock.yaml'), join(root, 'node_modules/.pnpm/lock.yaml')];
  return existsSync(have) && readFileSync(want, 'utf8') === readFileSync(have, 'utf8');
}

function install() {
  process.stderr.write('set-up: installing packages (about 10 s the first time) ...\n');
  const { ok, output, seconds } = run(
    'npx',
    [
      ...['--yes', '--prefer-offline', PNPM],
      ...['install', '--frozen-lockfile', '--prefer-offline', '--reporter', 'append-only'],
    ],
    {
      ...process.env,
      // `npm run -s` would silence the reason of a failure; without a network, npx and pnpm would
      // try again for more than a minute each, in silence.
      npm_config_loglevel: 'error',
      npm_config_fetch_retries: '1',
      npm_config_fetch_retry_mintimeout: '1000',
      npm_config_fetch_retry_maxtimeout: '1000',
      npm_config_fetch_timeout: '60000',
    },
  );
  if (ok) process.stderr.write(`set-up: packages installed in ${seconds} s\n`);
  if (ok) return;
  process.stderr.write(`${output}\n`);
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|dns error/i.test(output)) {
    refuse('the packages could not be fetched; the first run needs the network, later ones do not');
  }
  refuse(`the packages could not be installed (after ${seconds} s); the reason stands above`);
}

function generate() {
  const own = join(root, 'node_modules/.bin/node');
  const node = existsSync(own) ? own : process.execPath;
  if (node !== own && Number(process.versions.node.split('.')[0]) < 24) {
    refuse(
      `npm has no Node 24 for ${process.platform}-${process.arch}: install Node 24 or newer ` +
        `(this is ${process.versions.node})`,
    );
  }
  const { ok, output } = run(node, [join(root, 'tools/gen.ts')]);
  if (ok) return;
  process.stderr.write(`${output}\n`);
  refuse('the code of the protobufs could not be generated; the reason stands above');
}

/** Two commands started at once would install into one folder: the second waits for the first. */
function waitForLock() {
  const until = Date.now() + TIMEOUT_MS;
  while (!tryLock()) {
    if (Date.now() > until) refuse(`another set-up does not end; if none runs, delete ${lock}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function tryLock() {
  try {
    mkdirSync(dirname(lock), { recursive: true });
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    locked = true;
  } catch (error) {
    // In a folder that is not ours to write everything may be there already; what is not will say so.
    if (error.code !== 'EEXIST') return true;
    if (!holderIsGone()) return false;
    rmSync(lock, { force: true });
  }
  return locked;
}

function holderIsGone() {
  try {
    process.kill(Number(readFileSync(lock, 'utf8')), 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function unlock() {
  if (locked) rmSync(lock, { force: true });
}

waitForLock();
if (!installed()) install();
generate();
unlock();
