import { NatsBell } from '@roost/bus/nats-bell';
import { NatsBus } from '@roost/bus/nats-bus';
import { CannotStart } from '@roost/core/cannot-start';
import { LimitInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/limits';
import { clientOf, connectPeer, type PeerChannel } from '@roost/rpc/client';
import { connectGateway, type GatewayConnection } from '@roost/rpc/gateway';
import { isServing } from '@roost/rpc/health';
import { type Environment, oneOf, readEnvironment } from '@roost/service/config';
import { openNats } from '@roost/service/nats';
import type { Connection, ServiceProgram } from '@roost/service/process';
import {
  addresses,
  federationVariables,
  natsConfig,
  natsVariables,
  processConfig,
  processVariables,
} from '@roost/service/process-config';
import { z } from 'zod';
import { queueLimitsBy } from './handlers/queue-limits.ts';
import { migrations, openQs } from './service.ts';
import { WebPush } from './web-push.ts';

const schema = z.object({
  ...processVariables,
  ...natsVariables,
  ...federationVariables,
  ROOST_AAS_ADDRESS: addresses.optional(),
  ROOST_PUSH_TO_PRIVATE_ADDRESSES: oneOf('yes', 'no').default('no'),
});

/** Where the gateway is, and where what other hubs deliver is counted; `undefined` where none do. */
function federationOf({
  ROOST_FEDERATION_ADDRESS: gateway,
  ROOST_AAS_ADDRESS: aas,
}: z.output<typeof schema>) {
  if (gateway === undefined) return undefined;
  if (aas !== undefined) return { gateway, aas };
  throw new CannotStart(
    'ROOST_AAS_ADDRESS is not set: with ROOST_FEDERATION_ADDRESS, give host:port of the AAS, which counts what other homeservers deliver.',
  );
}

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    nats: natsConfig(read),
    federation: federationOf(read),
    isPrivateAllowed: read.ROOST_PUSH_TO_PRIVATE_ADDRESSES === 'yes',
  };
}

type Config = ReturnType<typeof readConfig>;

interface Connections extends Readonly<Record<string, Connection>> {
  readonly nats: Awaited<ReturnType<typeof openNats>>;
  /** Both absent where other homeservers are not reached. */
  readonly 'federation-gateway'?: GatewayConnection;
  readonly aas?: Connection & { readonly channel: PeerChannel };
}

/** The QS as a program of its own. */
export const program: ServiceProgram<Config, Connections> = {
  name: 'qs',
  migrations,
  secrets: ['qs', 'push', 'transport'],
  readConfig,
  async connect({ domain, nats, federation }, { log, tls }) {
    const open = { nats: await openNats('qs', nats, log) };
    if (federation === undefined) return open;
    const channel = connectPeer(federation.aas, { domain, name: 'aas' }, tls);
    const aas = {
      channel,
      isThere: async () => await isServing(channel),
      renew: (renewed: typeof tls) => channel.renew(renewed),
      [Symbol.asyncDispose]: async () => channel.close(),
    };
    return { ...open, aas, 'federation-gateway': connectGateway(federation.gateway, domain, tls) };
  },
  async open({ domain, isPrivateAllowed }, basics, to) {
    const { nats, aas } = to;
    const { crypto, clock, secret } = basics;
    const secretKey = await secret('qs');
    const push = new WebPush({
      ...{ crypto, clock, isPrivateAllowed, authority: undefined },
      ...{ privateKey: await secret('push'), subject: `https://${domain}` },
    });
    const transportKey = await secret('transport');
    return await openQs(
      { domain, secretKey, incarnation: basics.incarnation },
      {
        ...{ ...basics, push, transportKey, forward: to['federation-gateway']?.forward },
        queueLimits: aas && queueLimitsBy(clientOf(LimitInternalServiceDefinition, aas.channel)),
        ...{
          bus: new NatsBus(nats, transportKey),
          bell: new NatsBell(nats, { service: 'qs', secretKey }),
        },
      },
    );
  },
};
