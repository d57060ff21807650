import { NatsBell } from '@roost/bus/nats-bell';
import { connectGateway, type GatewayConnection } from '@roost/rpc/gateway';
import { type Environment, oneOf, readEnvironment } from '@roost/service/config';
import { openNats } from '@roost/service/nats';
import type { Connection, ServiceProgram } from '@roost/service/process';
import {
  federationVariables,
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
  ...federationVariables,
  ROOST_REGISTRATION: oneOf('open', 'invite').default('invite'),
});

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    gatewayAddresses: read.ROOST_FEDERATION_ADDRESS,
    registration: read.ROOST_REGISTRATION,
  };
}

type Config = ReturnType<typeof readConfig>;

interface Connections extends Readonly<Record<string, Connection>> {
  readonly nats: Awaited<ReturnType<typeof openNats>>;
  /** Absent where other homeservers are not reached. */
  readonly 'federation-gateway'?: GatewayConnection;
}

/** The AS as a program of its own. */
export const program: ServiceProgram<Config, Connections> = {
  name: 'as',
  migrations,
  secrets: ['as'],
  readConfig,
  async connect({ domain, nats, gatewayAddresses: to }, { log, tls }) {
    const open = { nats: await openNats('as', nats, log) };
    return to ? { ...open, 'federation-gateway': connectGateway(to, domain, tls) } : open;
  },
  async open({ domain, registration }, basics, { nats, 'federation-gateway': gateway }) {
    const secretKey = await basics.secret('as');
    const bell = new NatsBell(nats, { service: 'as', secretKey });
    const { incarnation } = basics;
    const limits = { directQueue: DIRECT_QUEUE_LIMITS };
    const config = { domain, registration, incarnation, secretKey, ...limits };
    return await openAs(config, { ...basics, bell, forward: gateway?.forward });
  },
};
