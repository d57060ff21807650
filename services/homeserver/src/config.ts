import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Environment, level, readEnvironment, variable } from '@roost/service/config';
import { z } from 'zod';

const folder = variable('a folder', (text) => text);

const schema = z.object({
  ROOST_HOME: folder.optional(),
  XDG_STATE_HOME: folder.optional(),
  ROOST_LOG_LEVEL: level.default('info'),
});

/** What the environment has to say; the command line has the last word. */
export function readConfig(environment: Environment) {
  const { ROOST_HOME, XDG_STATE_HOME, ROOST_LOG_LEVEL } = readEnvironment(schema, environment);
  const ofUser = join(XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'roost');
  return {
    home: ROOST_HOME ?? (process.getuid?.() === 0 ? '/var/lib/roost' : ofUser),
    logLevel: ROOST_LOG_LEVEL,
  };
}
