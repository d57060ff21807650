import { assert } from '@roost/core/assert';
import type { Addresses } from './environment.ts';
import { Nats } from './nats.ts';
import { Postgres, type PostgresOptions } from './postgres.ts';
import { Valkey } from './valkey.ts';

/** The servers below homeservers: several of those can stand on one ground. */
export class Ground implements AsyncDisposable {
  readonly postgres: Postgres;
  readonly valkey: Valkey;
  readonly nats: Nats;

  private constructor(postgres: Postgres, valkey: Valkey, nats: Nats) {
    this.postgres = postgres;
    this.valkey = valkey;
    this.nats = nats;
  }

  /** One that no other test stands on. */
  static async open(options: PostgresOptions = {}): Promise<Ground> {
    return new Ground(...(await Promise.all([Postgres.open(options), Valkey.open(), Nats.open()])));
  }

  get addresses(): Addresses {
    return { postgres: this.postgres.url, redis: this.valkey.url, nats: this.nats.address };
  }

  /** From now on `Homeserver.open` takes this one, here and in the processes that this one forks. */
  share(): void {
    process.env[VARIABLE] = JSON.stringify(this.addresses);
    process.env['ROOST_RUN_POSTGRES'] = this.addresses.postgres;
    process.env['ROOST_RUN_REDIS'] = this.addresses.redis;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [this.postgres, this.valkey, this.nats];
    await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
  }
}

/** The ground that was shared. */
export function sharedAddresses(): Addresses {
  const text = process.env[VARIABLE];
  assert(
    text !== undefined,
    'tests with servers are called *.servers.test.ts, so that Jest starts some; programs share a ground',
  );
  return JSON.parse(text) as Addresses;
}

const VARIABLE = 'ROOST_RUN_GROUND';
