import type { Domain } from '@roost/core/ids';
import type { ServiceName } from '@roost/homeserver/databases';
import type { WebPushOptions } from '@roost/qs/web-push';
import type { FreshDatabase } from '@roost/testing/postgres';
import { AllInOne } from './all-in-one.ts';
import type { Door } from './door.ts';
import { Homeserver } from './servers/homeserver.ts';

export interface WorldOptions {
  readonly pushing?: Pick<WebPushOptions, 'isPrivateAllowed' | 'authority'>;
  readonly registration?: 'open' | 'invite';
  /** Tokens a day; far more than a test needs where it is not given. */
  readonly quantities?: { readonly general: number; readonly contact: number };
}

/** A whole homeserver, over databases of its own. */
export interface World extends AsyncDisposable {
  readonly domain: Domain;
  /** As their superuser. */
  readonly databases: Readonly<Record<ServiceName, FreshDatabase>>;
  /** Where clients reach it; the same over restarts. */
  readonly door: Door;
  start(): Promise<void>;
  /** Stops the homeserver as an operator does; its databases stay. */
  stop(): Promise<void>;
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
