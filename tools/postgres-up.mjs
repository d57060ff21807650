// Jest's globalSetup: one PostgreSQL for the run. DATABASE_URL (of a superuser) is used where it is
// set; otherwise an embedded one without fsync, in a temporary folder.
import { spawn } from 'node:child_process';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '../libs/postgres/src/embedded.ts';

export default async function up() {
  const given = process.env['DATABASE_URL'];
  if (given !== undefined && given !== '') {
    process.env['ROOST_TEST_POSTGRES'] = given;
    return;
  }
  const home = await mkdtemp(join(tmpdir(), 'roost-test-'));
  // PostgreSQL runs as another user where we are root, and must get through.
  await chmod(home, 0o711);
  const cluster = await startEmbedded({ home, fsync: false, log: () => {} });
  process.env['ROOST_TEST_POSTGRES'] =
    `postgres:///postgres?host=${encodeURIComponent(cluster.host)}`;
  globalThis.roostTestPostgres = { cluster, home, janitor: janitor(cluster.pid(), home) };
}

// Waits for the end of its input, which comes with our end, however we end; then nothing is left.
function janitor(pid, home) {
  const script =
    'read _; kill -INT "$1" 2>/dev/null; ' +
    'while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; rm -rf -- "$2"';
  const child = spawn('/bin/sh', ['-c', script, 'sh', String(pid), home], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  child.stdin.unref();
  return child;
}
