import { Failure } from '@roost/core/failure';
import { QsClientId, QsUserId } from '@roost/core/ids';
import { backoffMs, SECOND_MS, sleep, systemClock } from '@roost/core/time';
import { signWithLabel } from '@roost/crypto/labelled';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { connectTo } from '@roost/e2e/door';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import type { CallOptions, Transport } from '@roost/rpc/call';
import { type Channel, type Client, clientOf } from '@roost/rpc/client';
import { paying } from './paying.ts';
import type { Site } from '../site.ts';

type Queue = Client<typeof QueueServiceDefinition>;
type Sign = NonNullable<CallOptions['sign']>;

const CLIENTS_PER_USER = 10;
const CONNECTIONS = 20;
const LANES = 4;
const OPEN_MS = 30_000;
/** As the SDK waits (libs/client/src/listener.ts). */
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 15 * SECOND_MS;

/** Many who listen to queues of their own, and come back whenever their stream breaks. */
export class Streams implements AsyncDisposable {
  /** How many stand. */
  standing = 0;
  /** When each came back since this was emptied. */
  readonly returns: number[] = [];
  readonly #channels: Channel[];
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[];

  private constructor(site: Site, clients: readonly Sign[]) {
    this.#channels = Array.from({ length: CONNECTIONS }, () => connectTo(site.door));
    this.#loops = clients.map((sign, at) => this.#follow(site, sign, at));
  }

  /** Makes so many queues, and listens to them. */
  static async open(site: Site, count: number): Promise<Streams> {
    const tokens = await site.tokens();
    // For the queues, for the streams, and for the streams again.
    for (let drawn = 0; drawn < 3 * count + 200; drawn += 100) {
      site.progress(`${drawn} tokens drawn`);
      await tokens.draw('general', 100);
    }
    site.progress('makes queues');
    const streams = new Streams(site, await makeQueues(site, count));
    const end = performance.now() + OPEN_MS;
    while (streams.standing < count && performance.now() < end) await sleep(50);
    site.promise(streams.standing === count, `${count} streams stand, not ${streams.standing}`);
    return streams;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
    for (const channel of this.#channels) channel.close();
  }

  async #follow(site: Site, sign: Sign, at: number): Promise<void> {
    const channel = this.#channels[at % CONNECTIONS];
    if (channel === undefined) return;
    const { signal } = this.#stop;
    const tokens = await site.tokens();
    const queue = queueOf(site, channel);
    // One that nobody took is offered again. All come from one address: nobody knocks first, as that is counted.
    let token: Uint8Array | undefined;
    for (let attempt = 0; !signal.aborted; attempt++) {
      let stands = false;
      try {
        token ??= await tokens.takeRaw('general');
        // The first message of a queue is its secret: with it, the stream stands.
        for await (const _ of queue.listen({ fromSequence: 0n }, { sign, signal, token })) {
          if (stands) continue;
          stands = true;
          token = undefined;
          attempt = 0;
          this.standing++;
          this.returns.push(performance.now());
        }
      } catch (error) {
        // Refusals are what they come back from; anything else is told.
        if (!(error instanceof Failure) && !signal.aborted) site.log.heard(error);
        if (error instanceof Failure && error.reason !== 'UNAVAILABLE') token = undefined;
      }
      if (stands) this.standing--;
      await sleep(backoffMs(attempt, RETRY_FIRST_MS, RETRY_LAST_MS, Math.random()), signal);
    }
  }
}

function queueOf(site: Site, transport: Transport): Queue {
  const signing = { crypto, clock: systemClock, audience: site.home.domain };
  return clientOf(QueueServiceDefinition, transport, signing);
}

async function makeQueues(site: Site, count: number): Promise<Sign[]> {
  using channel = connectTo(site.door);
  const queue = queueOf(site, paying(channel, await site.tokens()));
  const signs: Sign[] = [];
  const lane = async (): Promise<void> => {
    while (signs.length < count) {
      const by = await makeUser(queue);
      const make = Array.from({ length: CLIENTS_PER_USER }, () => makeClient(queue, by));
      signs.push(...(await Promise.all(make)));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return signs.slice(0, count);
}

async function makeClient(queue: Queue, by: Sign): Promise<Sign> {
  const { publicKey: authKey, privateKey } = crypto.ed25519.generate();
  const queueKey = crypto.x25519.generate().publicKey;
  const signature = signWithLabel(crypto, privateKey, 'QueueClient', queueKey);
  const { qsClientId } = await queue.createClient({ authKey, queueKey, signature }, { sign: by });
  const qsClient = QsClientId.parse(qsClientId, 'qs_client_id');
  return { key: { kind: 'qs-client', qsClient }, privateKey };
}

async function makeUser(queue: Queue): Promise<Sign> {
  const { publicKey, privateKey } = crypto.ed25519.generate();
  const sign = { key: { kind: 'new-key' as const, publicKey }, privateKey };
  const { qsUserId } = await queue.createUser({ authKey: publicKey }, { sign });
  const qsUser = QsUserId.parse(qsUserId, 'qs_user_id');
  return { key: { kind: 'qs-user', qsUser }, privateKey };
}
