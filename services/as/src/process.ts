import { NatsBell } from '@roost/bus/nats-bell';
import { type Environment, oneOf, readEnvironment } from '@roost/service/config';
import { openNats } from '@roost/service/nats';
import type { ServiceProgram } from '@roost/service/process';
import {
  natsConfig,
  natsVariables,
  processConfig,
  processVariables,
} from '@roost/service/process-config';
import { z } from 'zod';
import { DIRECT_QUEUE_LIMITS, migrations, openAs } from './service.ts';

const schema = z.object({
  ...processVariables,
  ...natsVariables,
  ROOST_REGISTRATION: oneOf('open', 'invite').default('invite'),
});

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    registration: read.ROOST_REGISTRATION,
  };
}

type Config = ReturnType<typeof readConfig>;
type Connections = { readonly nats: Awaited<ReturnType<typeof openNats>> };

/** The AS as a program of its own. */
export const program: ServiceProgram<Config, Connections> = {
  name: 'as',
  migrations,
  secrets: ['as'],
  readConfig,
  connect: async ({ nats }, { log }) => ({ nats: await openNats('as', nats, log) }),
  async open({ domain, registration }, basics, { nats }) {
    const secretKey = await basics.secret('as');
    const bell = new NatsBell(nats, { service: 'as', secretKey });
    const config = { domain, registration, directQueue: DIRECT_QUEUE_LIMITS, secretKey };
    return await openAs(config, { ...basics, bell });
  },
};
