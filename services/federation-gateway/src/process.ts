import { NatsBus } from '@roost/bus/nats-bus';
import { Failure } from '@roost/core/failure';
import { parseNetwork } from '@roost/federation/address';
import { parseEndpoint } from '@roost/federation/peer-domain';
import { SPOKEN } from '@roost/federation/versions';
import { LimitInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/limits';
import { clientOf, connectPeer, type PeerChannel } from '@roost/rpc/client';
import { isServing } from '@roost/rpc/health';
import { readCaFile } from '@roost/service/ca-file';
import { type Environment, integer, path, readEnvironment, variable } from '@roost/service/config';
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
import { limitsBy } from './handlers/limits.ts';
import { migrations, openFederation } from './service.ts';

const schema = z.object({
  ...processVariables,
  ...natsVariables,
  ROOST_FEDERATION_ENDPOINT: variable(
    'host:port where other homeservers reach this one, such as federation.example.org:8443',
    (text) => orUndefined(() => parseEndpoint(text)),
  ),
  ROOST_FEDERATION_CA: path.optional(),
  ROOST_FEDERATION_ALLOWED_NETWORKS: variable(
    'networks such as 10.0.0.0/8 or fd00::/8, several with commas between',
    (text) => {
      const all = text.split(',').map((each) => parseNetwork(each.trim()));
      return all.every((network) => network !== undefined) ? all : undefined;
    },
  ).optional(),
  ROOST_FEDERATION_WELL_KNOWN_PORT: integer(1, 65_535).default(443),
  ROOST_FEDERATION_AUDIT_DAYS: integer(1, 36_500).default(365),
  ROOST_AS_ADDRESS: addresses,
  ROOST_AAS_ADDRESS: addresses,
  ROOST_QS_ADDRESS: addresses,
  ROOST_DS_ADDRESS: addresses,
});

function orUndefined<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    endpoint: read.ROOST_FEDERATION_ENDPOINT,
    caFile: read.ROOST_FEDERATION_CA,
    allowed: read.ROOST_FEDERATION_ALLOWED_NETWORKS ?? [],
    wellKnownPort: read.ROOST_FEDERATION_WELL_KNOWN_PORT,
    auditDays: read.ROOST_FEDERATION_AUDIT_DAYS,
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
  async open({ domain, endpoint, caFile, allowed, wellKnownPort, auditDays }, basics, to) {
    const { secret } = basics;
    const transportKey = await secret('transport');
    return await openFederation(
      {
        ...{ domain, allowed, wellKnownPort, auditDays },
        about: { endpoint, protocol: SPOKEN, pins: [] },
        secretKey: await secret('federation'),
      },
      {
        ...{ ...basics, transportKey, bus: new NatsBus(to.nats, transportKey) },
        limits: limitsBy(clientOf(LimitInternalServiceDefinition, to.aas.channel)),
        services: new Map([
          ['as', to.as.channel],
          ['qs', to.qs.channel],
          ['ds', to.ds.channel],
        ]),
        trust: { ca: await readCaFile('ROOST_FEDERATION_CA', caFile) },
      },
    );
  },
};
