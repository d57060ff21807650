import { Nats, type NatsOptions } from '@roost/bus/nats';
import { NatsBus } from '@roost/bus/nats-bus';
import type { NatsUser } from '@roost/bus/nats-users';
import { utf8 } from '@roost/core/bytes';
import { sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { Nats as Servers } from '@roost/e2e/servers/nats';
import { until } from '@roost/testing/until';

export const MIB = 1 << 20;
export const batch = utf8('batch');
/** Of those who send and those who receive. */
export const busKey = crypto.random(32);
export const soon = { timeoutMs: 5_000 };

/** Subjects of a test's own. */
export const newPrefix = (): string => `t${Buffer.from(crypto.random(6)).toString('hex')}`;

/** By when a subscription is known to all servers. */
export const settled = async (): Promise<void> => await sleep(300);

/** A NATS of three, and who is connected to it. */
export class Cluster implements AsyncDisposable {
  readonly servers: Servers;
  readonly #stack = new AsyncDisposableStack();

  private constructor(servers: Servers) {
    this.servers = this.#stack.use(servers);
  }

  static async open(): Promise<Cluster> {
    return new Cluster(await Servers.open());
  }

  natsOf(service: NatsUser, prefix: string, options: Partial<NatsOptions> = {}): Nats {
    const { servers, passwords } = this.servers;
    return this.#stack.use(
      new Nats({
        ...{ servers, user: service, password: passwords[service], service, prefix },
        ...{ payloadBytesMax: 6 * MIB, ...options },
      }),
    );
  }

  async connected(service: NatsUser, prefix: string): Promise<Nats> {
    const nats = this.natsOf(service, prefix);
    await until(() => nats.isThere());
    return nats;
  }

  /** What whoever has a password can do by hand. */
  async raw(user: NatsUser, prefix: string) {
    const connection = (await this.connected(user, prefix)).here();
    if (connection === undefined) throw new Error('it is connected');
    return connection;
  }

  /** Of the server that somebody is connected to. */
  numberOf(nats: Nats): number {
    const port = nats.here()?.getServer().split(':')[1];
    return this.servers.servers.findIndex((each) => each.endsWith(`:${port}`)) + 1;
  }

  /** A sender, and so many who serve. */
  async bus(...handlers: ((bytes: Uint8Array) => Promise<Uint8Array>)[]) {
    const prefix = newPrefix();
    const nats = await this.connected('ds', prefix);
    const replicas = [];
    for (const handler of handlers) {
      const replica = await this.connected('qs', prefix);
      replicas.push({ nats: replica, served: new NatsBus(replica, busKey).serve(handler) });
    }
    await settled();
    return { prefix, nats, bus: new NatsBus(nats, busKey), replicas };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
