import { homedir } from 'node:os';
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

/** Where the operator talks to such a homeserver. Who can open this file is the operator. */
export function adminSocket(home: string): string {
  return join(home, 'run', 'admin.sock');
}
