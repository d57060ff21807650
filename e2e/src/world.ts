import type { Domain } from '@roost/core/ids';
import type { ServiceName } from '@roost/homeserver/databases';
import type { WebPushOptions } from '@roost/qs/web-push';
import type { Client } from '@roost/rpc/call';
import type { ServiceDefinition } from '@roost/rpc/definition';
import type { FreshDatabase } from '@roost/testing/postgres';
import { AllInOne } from './all-in-one.ts';
import type { Door } from './door.ts';
import type { Neighbourhood } from './neighbourhood.ts';
import { Homeserver } from './servers/homeserver.ts';

export interface WorldOptions {
  readonly pushing?: Pick<WebPushOptions, 'isPrivateAllowed' | 'authority'>;
  readonly registration?: 'open' | 'invite';
  /** Tokens a day; far more than a test needs where it is not given. */
  readonly quantities?: { readonly general: number; readonly contact: number };
  /** `home.example` where it is not given. */
  readonly domain?: string;
  /** Of each service, where they are separate; two where nothing is said. */
  readonly replicas?: number;
  /** The other homeservers that it may meet; its own domain is one of theirs. It meets none without. */
  readonly neighbourhood?: Neighbourhood;
  /** What its gateway, and the listener for others, are told besides. */
  readonly federationEnv?: Readonly<Record<string, string>>;
}

/** A whole homeserver, over databases of its own. */
export interface World extends AsyncDisposable {
  readonly domain: Domain;
  /** As their superuser. */
  readonly databases: Readonly<Record<ServiceName, FreshDatabase>>;
  /** That of its gateway, where it meets others. */
  readonly federation: FreshDatabase | undefined;
  /** Where clients reach it; the same over restarts. */
  readonly door: Door;
  start(): Promise<void>;
  /** Stops the homeserver as an operator does; its databases stay. */
  stop(): Promise<void>;
  /** What its operator asks of it, whichever process answers that. */
  operator<D extends ServiceDefinition>(definition: D): Client<D>;
}

/**
 * In Jest's project `servers` separate services on real servers, else all in one in this process. A story that
 * needs what only one of them has opens `AllInOne` or `Homeserver`.
 */
export const World = {
  open: async (options: WorldOptions = {}): Promise<World> =>
    process.env['ROOST_E2E'] === 'distributed'
      ? await Homeserver.open(options)
      : await AllInOne.open(options),
};
