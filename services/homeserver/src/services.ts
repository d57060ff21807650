import { availableParallelism } from 'node:os';
import { openAas } from '@roost/aas/service';
import { DIRECT_QUEUE_LIMITS, openAs } from '@roost/as/service';
import { MemoryBell, MemoryBus, MemoryLimiter } from '@roost/bus/memory';
import type { Bus } from '@roost/bus/ports';
import { type Clock, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type DsConfig, dsDefaults } from '@roost/ds/config';
import { type DsPorts, openDs } from '@roost/ds/service';
import { AuthenticationInternalServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { LimitInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/limits';
import { TokenInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { queueLimitsBy } from '@roost/qs/handlers/queue-limits';
import { openQs } from '@roost/qs/service';
import { WebPush, type WebPushOptions } from '@roost/qs/web-push';
import { type Client, clientOf } from '@roost/rpc/call';
import type { ServiceDefinition } from '@roost/rpc/definition';
import { localTransport } from '@roost/rpc/local';
import type { Page } from '@roost/rpc/pages';
import type { Bucket, TokenGate } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import type { Databases, ServiceName } from './databases.ts';
import { type GatewayOptions, LocalGateway } from './gateway.ts';
import type { Home } from './home.ts';

export interface Services extends AsyncDisposable {
  readonly bindings: readonly ServiceBinding[];
  readonly gate: TokenGate;
  readonly limiter: MemoryLimiter;
  /** What other homeservers read of this one, where it meets any. */
  readonly directory: (() => Page) | undefined;
}

interface Parts {
  readonly home: Pick<Home, 'domain' | 'incarnation' | 'secret'>;
  readonly databases: { readonly of: (name: ServiceName) => ReturnType<Databases['of']> };
  readonly registration: 'open' | 'invite';
  readonly log: Log;
  /** Tokens of each class that an account may draw a day. */
  readonly quantities: { readonly general: number; readonly contact: number };
  /** What an address may ask for without a token, where an edge asks the AAS. */
  readonly exemptBucket?: Bucket | undefined;
  readonly clock?: Clock | undefined;
  /** What stands between DS and QS. */
  readonly bus?: Bus | undefined;
  /** Which push providers are called besides those of the public internet. */
  readonly pushing?: Pick<WebPushOptions, 'isPrivateAllowed' | 'authority'> | undefined;
  /** The policies that the hub proposes to rooms. */
  readonly roomPolicies?: DsConfig['roomPolicies'] | undefined;
  /** How other homeservers are met; none are where it is absent. */
  readonly federation?: GatewayOptions | undefined;
  /** Where the DS may be made to fail. */
  readonly faults?: DsPorts['faults'] | undefined;
}

type Closing = { close(): Promise<void> } | undefined;

/** One core is left to everything else. */
const THREADS = Math.max(1, Math.min(4, availableParallelism() - 1));

/**
 * Starts all services in this process. They meet as they would over the wire: by clients whose calls
 * are encoded and held to the access rules, and over a bus and bells that may lose what they carry.
 */
export async function openServices({
  home,
  databases,
  registration,
  log,
  quantities,
  exemptBucket,
  clock = systemClock,
  bus = new MemoryBus(),
  faults,
  pushing,
  roomPolicies,
  federation,
}: Parts): Promise<Services> {
  const { domain, incarnation, secret } = home;
  const self = { domain, incarnation };
  const [bell, limiter] = [new MemoryBell(), new MemoryLimiter(clock)];
  const [transportKey, hubKey] = [await secret('transport'), await secret('hub')];
  const portsOf = (name: ServiceName) => ({
    ...{ bus, bell, clock, crypto },
    ...{ database: databases.of(name), log: log.named(name) },
  });

  await using started = new AsyncDisposableStack();
  const start = <T extends Closing>(service: T): T =>
    started.adopt(service, async (each) => await each?.close());
  const gateway = federation && new LocalGateway(federation);
  const as = start(
    await openAs(
      { ...self, registration, directQueue: DIRECT_QUEUE_LIMITS, secretKey: await secret('as') },
      { ...portsOf('as'), forward: gateway?.forwardFor('as') },
    ),
  );
  const authentication = internal(AuthenticationInternalServiceDefinition, as.bindings, 'aas');
  const aas = start(
    await openAas(
      { ...self, quantities, exemptBucket, issuerThreads: THREADS, secretKey: await secret('aas') },
      { ...portsOf('aas'), authentication, limiter },
    ),
  );
  const push = await openPush(home, clock, pushing);
  const queueLimits =
    gateway && queueLimitsBy(internal(LimitInternalServiceDefinition, aas.bindings, 'qs'));
  const qs = start(
    await openQs(
      { ...self, secretKey: await secret('qs') },
      { ...portsOf('qs'), transportKey, push, forward: gateway?.forwardFor('qs'), queueLimits },
    ),
  );
  const ds = start(
    await openDs(
      { domain, ...dsDefaults, ...(roomPolicies === undefined ? {} : { roomPolicies }) },
      {
        // The only one of its name: after a restart it goes on at once.
        ...{ ...portsOf('ds'), transportKey, incarnation, hubKey, replica: 'homeserver' },
        ...{ forward: gateway?.forwardFor('ds'), federationBus: gateway?.bus },
        ...(faults === undefined ? {} : { faults }),
      },
    ),
  );
  const bindings = { as: as.bindings, aas: aas.bindings, qs: qs.bindings, ds: ds.bindings };
  const surroundings = { home, bindings, clock, crypto, log, bus, transportKey };
  const met = start(await gateway?.open(surroundings));

  const opened = started.move();
  return {
    bindings: [...Object.values(bindings).flat(), ...(met?.bindings ?? [])],
    gate: gateBy(internal(TokenInternalServiceDefinition, aas.bindings, 'gate')),
    limiter,
    directory: met?.directoryPage,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function gateBy({
  checkToken,
}: Pick<Client<typeof TokenInternalServiceDefinition>, 'checkToken'>): TokenGate {
  return async (path, authorization, signal) =>
    void (await checkToken({ path, authorization }, { signal }));
}

async function openPush(
  { domain, secret }: Pick<Home, 'domain' | 'secret'>,
  clock: Clock,
  pushing: Parts['pushing'],
): Promise<WebPush> {
  return new WebPush({
    ...{ crypto, clock, privateKey: await secret('push'), subject: `https://${domain}` },
    isPrivateAllowed: pushing?.isPrivateAllowed ?? false,
    authority: pushing?.authority,
  });
}

function internal<D extends ServiceDefinition>(
  definition: D,
  bindings: readonly ServiceBinding[],
  as: string,
): Client<D> {
  return clientOf(definition, localTransport(bindings, as));
}
