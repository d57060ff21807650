import { NatsBell } from '@roost/bus/nats-bell';
import { NatsBus } from '@roost/bus/nats-bus';
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
import { migrations, openQs } from './service.ts';
import { WebPush } from './web-push.ts';

const schema = z.object({
  ...processVariables,
  ...natsVariables,
  ROOST_PUSH_TO_PRIVATE_ADDRESSES: oneOf('yes', 'no').default('no'),
});

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    isPrivateAllowed: read.ROOST_PUSH_TO_PRIVATE_ADDRESSES === 'yes',
  };
}

type Config = ReturnType<typeof readConfig>;
type Connections = { readonly nats: Awaited<ReturnType<typeof openNats>> };

/** The QS as a program of its own. */
export const program: ServiceProgram<Config, Connections> = {
  name: 'qs',
  migrations,
  secrets: ['qs', 'push', 'transport'],
  readConfig,
  connect: async ({ nats }, { log }) => ({ nats: await openNats('qs', nats, log) }),
  async open({ domain, isPrivateAllowed }, basics, { nats }) {
    const { crypto, clock, secret } = basics;
    const secretKey = await secret('qs');
    const push = new WebPush({
      ...{ crypto, clock, isPrivateAllowed, authority: undefined },
      ...{ privateKey: await secret('push'), subject: `https://${domain}` },
    });
    const transportKey = await secret('transport');
    return await openQs(
      { domain, secretKey },
      {
        ...{ ...basics, push, transportKey },
        ...{
          bus: new NatsBus(nats, transportKey),
          bell: new NatsBell(nats, { service: 'qs', secretKey }),
        },
      },
    );
  },
};
