import { type Environment, level, readEnvironment } from '@roost/service/config';
import { defaultHome } from '@roost/service/home';
import { z } from 'zod';

const schema = z.object({ ROOST_LOG_LEVEL: level.default('info') });

/** What the environment has to say; the command line has the last word. */
export function readConfig(environment: Environment) {
  const { ROOST_LOG_LEVEL } = readEnvironment(schema, environment);
  return { home: defaultHome(environment), logLevel: ROOST_LOG_LEVEL };
}
