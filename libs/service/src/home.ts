import { createHash } from 'node:crypto';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type Environment, readEnvironment, variable } from './config.ts';

const folder = variable('a folder', (text) => text);
const schema = z.object({ ROOST_HOME: folder.optional(), XDG_STATE_HOME: folder.optional() });

/** Where a homeserver that is all in one process keeps its data, if the command line names no place. */
export function defaultHome(environment: Environment): string {
  const { ROOST_HOME, XDG_STATE_HOME } = readEnvironment(schema, environment);
  if (ROOST_HOME !== undefined) return ROOST_HOME;
  if (process.getuid?.() === 0) return '/var/lib/roost';
  return join(XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'roost');
}

/**
 * Where the operator talks to such a homeserver. Who can open this file is the operator. The path of a
 * Unix socket has at most 107 bytes, so that of a long home lies in the temporary folder.
 */
export function adminSocket(home: string): string {
  const inside = join(home, 'run', 'admin.sock');
  if (Buffer.byteLength(inside) <= SOCKET_PATH_BYTES_MAX) return inside;
  const name = createHash('sha256').update(home).digest('hex').slice(0, 12);
  return join(tmpdir(), `roost-${name}.sock`);
}

const SOCKET_PATH_BYTES_MAX = 107;
