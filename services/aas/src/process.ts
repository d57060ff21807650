import { availableParallelism } from 'node:os';
import { RedisLimiter } from '@roost/bus/redis';
import { AuthenticationInternalServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf, connectPeer, type PeerChannel } from '@roost/rpc/client';
import { isServing } from '@roost/rpc/health';
import { readCaFile } from '@roost/service/ca-file';
import { type Environment, integer, path, readEnvironment, variable } from '@roost/service/config';
import type { Connection, ServiceProgram } from '@roost/service/process';
import { addresses, processConfig, processVariables } from '@roost/service/process-config';
import { z } from 'zod';
import { FEDERATED_RATES, QUEUE_RATE_MIN } from './domain/federated-buckets.ts';
import { migrations, openAas } from './service.ts';

const TOKENS_MAX = 10_000_000;

const schema = z.object({
  ...processVariables,
  ROOST_AS_ADDRESS: addresses,
  ROOST_REDIS_URL: variable('redis://user:password@host:port', (text) =>
    URL.canParse(text) && /^rediss?:/.test(text) ? text : undefined,
  ),
  ROOST_REDIS_PREFIX: variable('letters, digits, - and _', (text) =>
    /^[A-Za-z0-9_-]{1,32}$/.test(text) ? text : undefined,
  ).prefault('roost'),
  ROOST_REDIS_CA: path.optional(),
  ROOST_GENERAL_TOKENS_PER_DAY: integer(1, TOKENS_MAX).default(5_000),
  ROOST_CONTACT_TOKENS_PER_DAY: integer(1, TOKENS_MAX).default(100),
  ROOST_ADDRESS_CALLS: integer(1, TOKENS_MAX).default(120),
  ROOST_ADDRESS_CALLS_PER_SECOND: integer(1, TOKENS_MAX).default(2),
  ROOST_PEER_PER_SECOND: integer(1, TOKENS_MAX).default(FEDERATED_RATES.domain),
  ROOST_PEER_GROUP_PER_SECOND: integer(1, TOKENS_MAX).default(FEDERATED_RATES.group),
  ROOST_PEER_QUEUE_PER_SECOND: integer(QUEUE_RATE_MIN, TOKENS_MAX).default(FEDERATED_RATES.queue),
  ROOST_PEER_CALLS_PER_SECOND: integer(1, TOKENS_MAX).default(FEDERATED_RATES.call),
});

function readConfig(environment: Environment) {
  const read = readEnvironment(schema, environment);
  return {
    ...processConfig(read),
    asAddresses: read.ROOST_AS_ADDRESS,
    redis: {
      url: read.ROOST_REDIS_URL,
      prefix: read.ROOST_REDIS_PREFIX,
      caFile: read.ROOST_REDIS_CA,
    },
    quantities: {
      general: read.ROOST_GENERAL_TOKENS_PER_DAY,
      contact: read.ROOST_CONTACT_TOKENS_PER_DAY,
    },
    exemptBucket: {
      capacity: read.ROOST_ADDRESS_CALLS,
      refillPerSecond: read.ROOST_ADDRESS_CALLS_PER_SECOND,
    },
    federatedRates: {
      domain: read.ROOST_PEER_PER_SECOND,
      group: read.ROOST_PEER_GROUP_PER_SECOND,
      queue: read.ROOST_PEER_QUEUE_PER_SECOND,
      call: read.ROOST_PEER_CALLS_PER_SECOND,
    },
  };
}

type Config = ReturnType<typeof readConfig>;

interface Connections extends Readonly<Record<string, Connection>> {
  readonly redis: Connection & { readonly limiter: RedisLimiter };
  readonly as: Connection & { readonly channel: PeerChannel };
}

/** The AAS as a program of its own. */
export const program: ServiceProgram<Config, Connections> = {
  name: 'aas',
  migrations,
  secrets: ['aas'],
  readConfig,
  async connect({ domain, redis: { caFile, ...redis }, asAddresses }, { tls, secret, log }) {
    const ca = await readCaFile('ROOST_REDIS_CA', caFile);
    const limiter = new RedisLimiter({
      ...{ ...redis, ca, secretKey: await secret('aas') },
      changed: (isThere) =>
        isThere
          ? log.info({}, 'Redis: answers again')
          : log.warn({}, 'Redis: away; exempt calls pass or are refused as their rules say'),
    });
    const channel = connectPeer(asAddresses, { domain, name: 'as' }, tls);
    return {
      redis: {
        limiter,
        isThere: async () => await limiter.isThere(),
        [Symbol.asyncDispose]: async () => await limiter[Symbol.asyncDispose](),
      },
      as: {
        channel,
        isThere: async () => await isServing(channel),
        renew: (renewed) => channel.renew(renewed),
        [Symbol.asyncDispose]: async () => channel.close(),
      },
    };
  },
  async open({ domain, quantities, exemptBucket, federatedRates }, basics, { redis, as }) {
    // One core is left to everything else.
    const issuerThreads = Math.max(1, Math.min(4, availableParallelism() - 1));
    const { incarnation } = basics;
    const limits = { quantities, exemptBucket, federatedRates };
    const config = { domain, ...limits, issuerThreads, incarnation };
    return await openAas(
      { ...config, secretKey: await basics.secret('aas') },
      {
        ...{ ...basics, limiter: redis.limiter },
        authentication: clientOf(AuthenticationInternalServiceDefinition, as.channel),
      },
    );
  },
};
