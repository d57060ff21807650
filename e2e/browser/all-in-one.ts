import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import type { Door } from '@roost/e2e/door';
import { Launched } from '@roost/e2e/servers/launch';
import { Run } from '@roost/e2e/servers/run';
import { makeSelfSigned } from '@roost/e2e/servers/self-signed';

const ROOT = join(import.meta.dirname, '../..');

/** The homeserver that `npm start` runs, with TLS of its own: no Envoy stands before it. */
export interface AllInOneWithTls extends AsyncDisposable {
  readonly door: Door;
}

export async function openAllInOneWithTls(): Promise<AllInOneWithTls> {
  const folder = Run.current().makeFolder('all-in-one');
  const { cert, key, ca } = makeSelfSigned(folder);
  // PostgreSQL is another user where we are root, and must get through.
  chmodSync(folder, 0o711);
  const place = ['--data', join(folder, 'home'), '--listen', '127.0.0.1:0'];
  const tls = ['--tls-cert', cert, '--tls-key', key];
  const main = join(ROOT, 'services/homeserver/src/main.ts');
  const server = await Launched.start({
    ...{ name: 'homeserver', logs: folder, cwd: ROOT, lastSignal: 'SIGTERM' },
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', main, '--development', ...place, ...tls],
  });
  const address = await server.until('ready', () => READY.exec(server.said())?.[1]);
  return {
    door: { address, ca },
    [Symbol.asyncDispose]: async () => void (await server.stop()),
  };
}

const READY = /ready: https:\/\/(\S+)\n/;
