import { NatsBell } from '@roost/bus/nats-bell';
import { NatsBus } from '@roost/bus/nats-bus';
import { LimitInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/limits';
import { clientOf, connectPeer, type PeerChannel } from '@roost/rpc/client';
import { isServing } from '@roost/rpc/health';
import { type Environment, listenAddress, readEnvironment } from '@roost/service/config';
import { openNats } from '@roost/service/nats';
import type { Connection, ServiceProgram } from '@roost/service/process';
import {
  addresses,
  natsConfig,
  natsVariables,
  processConfig,
  processVariables,
} from '@roost/service/process-config';
import { z } from 'zod';
import { federationConfig, federationOf, federationVariables } from './config.ts';
import { limitsBy } from './handlers/limits.ts';
import { migrations, openFederation } from './service.ts';
import { serveDirectory } from './well-known.ts';

const schema = z.object({
  ...processVariables,
  ...natsVariables,
  ...federationVariables,
  ROOST_DIRECTORY_LISTEN: listenAddress.prefault('0.0.0.0:7680'),
  ROOST_AS_ADDRESS: addresses,
  ROOST_AAS_ADDRESS: addresses,
  ROOST_QS_ADDRESS: addresses,
  ROOST_DS_ADDRESS: addresses,
});

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    federation: federationConfig(read),
    directoryListen: read.ROOST_DIRECTORY_LISTEN,
    services: {
      as: read.ROOST_AS_ADDRESS,
      aas: read.ROOST_AAS_ADDRESS,
      qs: read.ROOST_QS_ADDRESS,
      ds: read.ROOST_DS_ADDRESS,
    },
  };
}

type Config = ReturnType<typeof readConfig>;
type ServiceConnection = Connection & { readonly channel: PeerChannel };

interface Connections extends Readonly<Record<string, Connection>> {
  readonly nats: Awaited<ReturnType<typeof openNats>>;
  readonly as: ServiceConnection;
  readonly aas: ServiceConnection;
  readonly qs: ServiceConnection;
  readonly ds: ServiceConnection;
}

/** The federation gateway as a program of its own. */
export const program: ServiceProgram<Config, Connections> = {
  name: 'federation-gateway',
  migrations,
  secrets: ['federation', 'transport'],
  readConfig,
  async connect({ domain, nats, services }, { log, tls }) {
    const to = (name: keyof typeof services): ServiceConnection => {
      const channel = connectPeer(services[name], { domain, name }, tls);
      return {
        channel,
        isThere: async () => await isServing(channel),
        renew: (renewed) => channel.renew(renewed),
        [Symbol.asyncDispose]: async () => channel.close(),
      };
    };
    return {
      nats: await openNats('federation-gateway', nats, log),
      ...{ as: to('as'), aas: to('aas'), qs: to('qs'), ds: to('ds') },
    };
  },
  async open({ domain, federation, directoryListen }, basics, to) {
    const { secret } = basics;
    const transportKey = await secret('transport');
    const { config, ports } = await federationOf(federation);
    const secretKey = await secret('federation');
    const service = await openFederation(
      { ...config, domain, secretKey, incarnation: basics.incarnation },
      {
        ...{ ...basics, ...ports, transportKey, bus: new NatsBus(to.nats, transportKey) },
        federationBus: new NatsBus(to.nats, transportKey, 'federation'),
        bell: new NatsBell(to.nats, { service: 'federation-gateway', secretKey }),
        limits: limitsBy(clientOf(LimitInternalServiceDefinition, to.aas.channel)),
        services: new Map([
          ['as', to.as.channel],
          ['qs', to.qs.channel],
          ['ds', to.ds.channel],
        ]),
      },
    );
    try {
      const directory = await serveDirectory(directoryListen, service.directoryPage);
      return {
        ...service,
        async close() {
          await directory[Symbol.asyncDispose]();
          await service.close();
        },
      };
    } catch (error) {
      await service.close();
      throw error;
    }
  },
};
