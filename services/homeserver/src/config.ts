import {
  type Environment,
  integer,
  level,
  listenAddress,
  readEnvironment,
} from '@roost/service/config';
import { defaultHome } from '@roost/service/home';
import { z } from 'zod';

const TOKENS_MAX = 10_000_000;
const schema = z.object({
  ROOST_LOG_LEVEL: level.default('info'),
  ROOST_HEALTH_LISTEN: listenAddress.optional(),
  ROOST_GENERAL_TOKENS_PER_DAY: integer(1, TOKENS_MAX).default(5_000),
  ROOST_CONTACT_TOKENS_PER_DAY: integer(1, TOKENS_MAX).default(100),
  ROOST_PUSH_TO_PRIVATE_ADDRESSES: z.enum(['yes', 'no']).default('no'),
});

/** What the environment has to say; the command line has the last word. */
export function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    home: defaultHome(environment),
    logLevel: read.ROOST_LOG_LEVEL,
    /** Where `/livez`, `/readyz` and `/metrics` are; nowhere where it is not given. */
    healthListen: read.ROOST_HEALTH_LISTEN,
    /** Whether push providers inside the own network are called: clients name them. */
    pushing: { isPrivateAllowed: read.ROOST_PUSH_TO_PRIVATE_ADDRESSES === 'yes' },
    /** Tokens of each class that an account may draw a day (design §4). */
    quantities: {
      general: read.ROOST_GENERAL_TOKENS_PER_DAY,
      contact: read.ROOST_CONTACT_TOKENS_PER_DAY,
    },
  };
}
