import { createHmac, timingSafeEqual } from 'node:crypto';
import { concat } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import {
  headers,
  type Msg,
  type NatsConnection,
  NoRespondersError,
  type Subscription,
} from '@nats-io/transport-node';
import type { Nats } from './nats.ts';
import type { Bus, RequestOptions } from './ports.ts';
import { continueTrace, inSpan, traceparent } from './trace.ts';

type Handler = (batch: Uint8Array) => Promise<Uint8Array>;

/** Where batches go: to the QS, or to the gateway, which carries them to other homeservers. */
type Way = keyof typeof WAYS;

/**
 * The bus over NATS: a request on a subject per partition, to whichever replica of the receiver takes it. Whoever sends
 * keeps what it sent until it is answered, so that everything here may get lost. Batches and answers carry a tag under the
 * key that sender and receiver share: a mark that NATS made up could delete what never arrived.
 */
export class NatsBus implements Bus {
  readonly #nats: Nats;
  readonly #key: Uint8Array;
  readonly #way: (typeof WAYS)[Way];
  #waiting = 0;

  /** `key` has 32 bytes. */
  constructor(nats: Nats, key: Uint8Array, way: Way = 'home') {
    this.#nats = nats;
    this.#key = key;
    this.#way = WAYS[way];
  }

  async request(
    partition: number,
    batch: Uint8Array,
    { timeoutMs, signal }: RequestOptions,
  ): Promise<Uint8Array> {
    const connection = this.#nats.here();
    if (connection === undefined) throw away('NATS is away');
    if (this.#waiting >= WAITING_MAX) throw away('too much waits already');
    if (signal?.aborted === true) throw away('the request was given up');
    return await inSpan('bus request', 'sends', async () => {
      const subject = `${this.#nats.prefix}.${this.#way.subject}.${partition}`;
      const tag = tagOf(this.#key, 'batch', batch);
      const asked = connection.request(subject, concat(batch, tag), {
        timeout: timeoutMs,
        ...traced(),
      });
      this.#waiting++;
      try {
        const given = { 'the request was given up': signal, 'NATS was lost': this.#nats.lost };
        return answerOf(await unlessAborted(asked, given), this.#key, tag);
      } catch (error) {
        if (error instanceof Failure) throw error;
        const nobody = error instanceof NoRespondersError || isNoResponders(error);
        throw away(nobody ? 'nobody serves' : 'there was no answer', error);
      } finally {
        this.#waiting--;
      }
    });
  }

  serve(handler: Handler): { close(): Promise<void> } {
    const work = new Work(handler, this.#key);
    let subscription: Subscription | undefined;
    const attachment = (connection: NatsConnection): void => {
      subscription = connection.subscribe(`${this.#nats.prefix}.${this.#way.subject}.*`, {
        queue: this.#way.queue,
        callback: (error, message) => {
          if (error === null) work.take(message);
        },
      });
    };
    this.#nats.attach(attachment);
    return {
      close: async () => {
        this.#nats.detach(attachment);
        // What the server has handed over is answered; what comes later is another's.
        const drained = this.#nats.isThere() ? subscription?.drain() : undefined;
        await drained?.catch(() => undefined);
        await work.end();
      },
    };
  }
}

/** What a process works on: so much at once, a little that waits, and the rest is sent back. */
class Work {
  readonly #handler: Handler;
  readonly #key: Uint8Array;
  readonly #running = new Set<Promise<void>>();
  readonly #waiting: Msg[] = [];

  constructor(handler: Handler, key: Uint8Array) {
    this.#handler = handler;
    this.#key = key;
  }

  take(message: Msg): void {
    if (this.#running.size < RUNNING_MAX) this.#run(message);
    else if (this.#waiting.length < HELD_MAX) this.#waiting.push(message);
    else fail(message);
  }

  async end(): Promise<void> {
    for (const message of this.#waiting.splice(0)) fail(message);
    await Promise.all(this.#running);
  }

  #run(message: Msg): void {
    const answering = answer(message, this.#handler, this.#key).finally(() => {
      this.#running.delete(answering);
      const next = this.#waiting.shift();
      if (next !== undefined) this.#run(next);
    });
    this.#running.add(answering);
  }
}

/** Each request goes to one of those who serve under the name of the queue. */
const WAYS = {
  home: { subject: 'fanout', queue: 'qs' },
  federation: { subject: 'federate', queue: 'gateway' },
} as const;
const WAITING_MAX = 256;
const RUNNING_MAX = 16;
const HELD_MAX = 32;
const FAILED = 'roost-failed';

async function answer(message: Msg, handler: Handler, key: Uint8Array): Promise<void> {
  const trace = message.headers?.get('traceparent');
  try {
    // A copy of its own: what the connection has read goes on to be read.
    const { body: batch, tag } = untagged(message.data.slice());
    if (!isTagged(key, 'batch', tag, batch)) throw away('it is not of the sender');
    const answered = await continueTrace(trace, () =>
      inSpan('bus serve', 'receives', () => handler(batch)),
    );
    message.respond(concat(answered, tagOf(key, 'answer', tag, answered)));
  } catch {
    // The handler has told of it.
    fail(message);
  }
}

/** The sender need not wait for its time to be up. */
function fail(message: Msg): void {
  const failed = headers();
  failed.set(FAILED, '1');
  try {
    message.respond(undefined, { headers: failed });
  } catch {
    // The connection is closed: the sender's time will be up.
  }
}

function answerOf(message: Msg, key: Uint8Array, asked: Uint8Array): Uint8Array {
  if (message.headers?.has(FAILED) === true) throw away('the receiver could not take it');
  const { body, tag } = untagged(message.data.slice());
  if (!isTagged(key, 'answer', tag, asked, body)) throw away('the answer is not of the receiver');
  return body;
}

function untagged(bytes: Uint8Array) {
  const at = Math.max(0, bytes.length - TAG_BYTES);
  return { body: bytes.subarray(0, at), tag: bytes.subarray(at) };
}

/** An answer is bound to what was asked by its tag. */
function tagOf(key: Uint8Array, what: 'batch' | 'answer', ...parts: readonly Uint8Array[]) {
  const hmac = createHmac('sha256', key).update(`Roost 1.0 bus ${what} `);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

function isTagged(...[key, what, tag, ...parts]: Tagged): boolean {
  return tag.length === TAG_BYTES && timingSafeEqual(tagOf(key, what, ...parts), tag);
}

type Tagged = [
  key: Uint8Array,
  what: 'batch' | 'answer',
  tag: Uint8Array,
  ...parts: readonly Uint8Array[],
];

const TAG_BYTES = 32;

function traced() {
  const trace = traceparent();
  if (trace === undefined) return {};
  const carrier = headers();
  carrier.set('traceparent', trace);
  return { headers: carrier };
}

/** In a request's own error it stands one level below. */
function isNoResponders(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof NoRespondersError;
}

async function unlessAborted(
  asked: Promise<Msg>,
  signals: Readonly<Record<string, AbortSignal | undefined>>,
): Promise<Msg> {
  // Whatever it still hears after that is nobody's.
  asked.catch(() => undefined);
  const { promise, reject } = Promise.withResolvers<never>();
  const listening = Object.entries(signals).map(([why, signal]) => {
    const giveUp = (): void => reject(away(why));
    signal?.addEventListener('abort', giveUp);
    return () => signal?.removeEventListener('abort', giveUp);
  });
  try {
    return await Promise.race([asked, promise]);
  } finally {
    for (const stop of listening) stop();
  }
}

function away(message: string, cause?: unknown): Failure {
  return new Failure('UNAVAILABLE', `bus: ${message}`, {}, cause);
}
