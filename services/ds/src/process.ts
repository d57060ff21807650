import { NatsBell } from '@roost/bus/nats-bell';
import { NatsBus } from '@roost/bus/nats-bus';
import { connectGateway, type GatewayConnection } from '@roost/rpc/gateway';
import { type Environment, integer, readEnvironment } from '@roost/service/config';
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
import { dsDefaults } from './config.ts';
import type { Faults } from './desk.ts';
import { migrations, openDs } from './service.ts';

const schema = z.object({
  ...processVariables,
  ...natsVariables,
  ...federationVariables,
  ROOST_INCARNATION: integer(1, 2 ** 32 - 1),
  ROOST_OUTBOX_ROWS: integer(1, 100_000_000).default(dsDefaults.limits.outboxRowsMax),
  ROOST_OUTBOX_MEGABYTES: integer(1, 1_000_000).default(dsDefaults.limits.outboxBytesMax / 2 ** 20),
});

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    gatewayAddresses: read.ROOST_FEDERATION_ADDRESS,
    incarnation: read.ROOST_INCARNATION,
    outbox: {
      outboxRowsMax: read.ROOST_OUTBOX_ROWS,
      outboxBytesMax: read.ROOST_OUTBOX_MEGABYTES * 2 ** 20,
    },
  };
}

type Config = ReturnType<typeof readConfig>;

interface Connections extends Readonly<Record<string, Connection>> {
  readonly nats: Awaited<ReturnType<typeof openNats>>;
  /** Absent where other homeservers are not reached. */
  readonly 'federation-gateway'?: GatewayConnection;
}

/** The DS as a program of its own; `faults` is where it may be made to fail. */
export function programOf(faults?: Faults): ServiceProgram<Config, Connections> {
  return {
    name: 'ds',
    migrations,
    secrets: ['transport', 'hub'],
    readConfig,
    async connect({ domain, nats, gatewayAddresses: to }, { log, tls }) {
      const open = { nats: await openNats('ds', nats, log) };
      return to ? { ...open, 'federation-gateway': connectGateway(to, domain, tls) } : open;
    },
    async open({ domain, incarnation, outbox }, basics, to) {
      const { nats } = to;
      const [transportKey, hubKey] = [await basics.secret('transport'), await basics.secret('hub')];
      return await openDs(
        { domain, ...dsDefaults, limits: { ...dsDefaults.limits, ...outbox } },
        {
          ...{ ...basics, transportKey, hubKey, incarnation },
          ...{
            bus: new NatsBus(nats, transportKey),
            federationBus: new NatsBus(nats, transportKey, 'federation'),
            bell: new NatsBell(nats, { service: 'ds', secretKey: hubKey }),
          },
          forward: to['federation-gateway']?.forward,
          ...(faults === undefined ? {} : { faults }),
        },
      );
    },
  };
}
