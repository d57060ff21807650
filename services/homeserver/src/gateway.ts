import { MemoryBell, MemoryBus } from '@roost/bus/memory';
import type { Bus } from '@roost/bus/ports';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { limitsBy } from '@roost/federation-gateway/handlers/limits';
import {
  type FederationConfig,
  type FederationPorts,
  type FederationService,
  openFederation,
} from '@roost/federation-gateway/service';
import type { Database } from '@roost/postgres/database';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { LimitInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/limits';
import { clientOf } from '@roost/rpc/call';
import { type Forward, forwardBy, GATEWAY } from '@roost/rpc/destination';
import { localTransport } from '@roost/rpc/local';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import type { ServiceName } from './databases.ts';
import type { Home } from './home.ts';

/** How other homeservers are met, where they are. */
export interface GatewayOptions {
  readonly database: Database;
  readonly config: Omit<FederationConfig, 'domain' | 'secretKey'>;
  readonly ports: Pick<FederationPorts, 'trust' | 'resolve'>;
  /** Where another one is to sign than everybody's. */
  readonly crypto?: Crypto | undefined;
}

interface Surroundings {
  readonly home: Pick<Home, 'domain' | 'incarnation' | 'secret'>;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Log;
  /** To the QS. */
  readonly bus: Bus;
  readonly transportKey: Uint8Array;
  /** Of the services. */
  readonly bindings: Readonly<Record<ServiceName, readonly ServiceBinding[]>>;
}

/** The federation gateway in the process of the services, which are told of it before it is there. */
export class LocalGateway {
  readonly #options: GatewayOptions;
  readonly #bindings: ServiceBinding[] = [];
  /** From the DS. */
  readonly bus = new MemoryBus();

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** The way to other homeservers, for one of the services. */
  forwardFor(service: 'as' | 'qs' | 'ds'): Forward {
    const transport = localTransport(this.#bindings, service);
    return forwardBy(clientOf(FederationInternalServiceDefinition, transport));
  }

  async open({ home, bindings, log, ...rest }: Surroundings): Promise<FederationService> {
    const { database, config, ports, crypto = rest.crypto } = this.#options;
    const to = (name: ServiceName) => localTransport(bindings[name], GATEWAY);
    const opened = await openFederation(
      {
        ...{ ...config, domain: home.domain, incarnation: home.incarnation },
        secretKey: await home.secret('federation'),
      },
      {
        ...{ ...rest, ...ports, crypto, database, log: log.named(GATEWAY) },
        // The only one of its name: after a restart it goes on at once.
        ...{ federationBus: this.bus, bell: new MemoryBell(), replica: 'homeserver' },
        limits: limitsBy(clientOf(LimitInternalServiceDefinition, to('aas'))),
        services: new Map((['as', 'qs', 'ds'] as const).map((name) => [name, to(name)])),
      },
    );
    this.#bindings.push(...opened.bindings);
    return opened;
  }
}
