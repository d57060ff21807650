import { NatsBell } from '@roost/bus/nats-bell';
import { NatsBus } from '@roost/bus/nats-bus';
import { type Environment, integer, readEnvironment } from '@roost/service/config';
import { openNats } from '@roost/service/nats';
import type { ServiceProgram } from '@roost/service/process';
import {
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
  ROOST_INCARNATION: integer(1, 2 ** 32 - 1),
  ROOST_OUTBOX_ROWS: integer(1, 100_000_000).default(dsDefaults.limits.outboxRowsMax),
  ROOST_OUTBOX_MEGABYTES: integer(1, 1_000_000).default(dsDefaults.limits.outboxBytesMax / 2 ** 20),
});

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    incarnation: read.ROOST_INCARNATION,
    outbox: {
      outboxRowsMax: read.ROOST_OUTBOX_ROWS,
      outboxBytesMax: read.ROOST_OUTBOX_MEGABYTES * 2 ** 20,
    },
  };
}

type Config = ReturnType<typeof readConfig>;
type Connections = { readonly nats: Awaited<ReturnType<typeof openNats>> };

/** The DS as a program of its own; `faults` is where it may be made to fail. */
export function programOf(faults?: Faults): ServiceProgram<Config, Connections> {
  return {
    name: 'ds',
    migrations,
    secrets: ['transport', 'hub'],
    readConfig,
    connect: async ({ nats }, { log }) => ({ nats: await openNats('ds', nats, log) }),
    async open({ domain, incarnation, outbox }, basics, { nats }) {
      const [transportKey, hubKey] = [await basics.secret('transport'), await basics.secret('hub')];
      return await openDs(
        { domain, ...dsDefaults, limits: { ...dsDefaults.limits, ...outbox } },
        {
          ...{ ...basics, transportKey, hubKey, incarnation },
          ...{
            bus: new NatsBus(nats, transportKey),
            bell: new NatsBell(nats, { service: 'ds', secretKey: hubKey }),
          },
          ...(faults === undefined ? {} : { faults }),
        },
      );
    },
  };
}
