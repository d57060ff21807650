import { createHmac } from 'node:crypto';
import { headers, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import { MemoryBell } from './memory.ts';
import type { Nats } from './nats.ts';
import type { Bell } from './ports.ts';
import { continueTrace, traceparent } from './trace.ts';

export interface NatsBellOptions {
  /** Whose bells these are. */
  readonly service: string;
  /** 32 bytes: hides what a bell is of. */
  readonly secretKey: Uint8Array;
}

/** Somebody of this process listens to a key. */
interface Rope {
  listeners: number;
  subscription: Subscription | undefined;
  readonly attachment: (connection: NatsConnection) => void;
}

/** Bells over NATS, a subject each; within this process they ring by themselves. */
export class NatsBell implements Bell {
  readonly #nats: Nats;
  readonly #options: NatsBellOptions;
  readonly #here = new MemoryBell();
  readonly #ropes = new Map<string, Rope>();
  /** What was rung for while NATS was away. */
  readonly #missed = new Set<string>();

  constructor(nats: Nats, options: NatsBellOptions) {
    this.#nats = nats;
    this.#options = options;
    nats.whenThere(() => this.#makeUp());
  }

  ring(key: string): void {
    this.#here.ring(key);
    if (this.#nats.isThere()) this.#ringElsewhere(key);
    else if (this.#missed.size < MISSED_MAX) this.#missed.add(key);
  }

  #ringElsewhere(key: string): void {
    const trace = traceparent();
    const carrier = trace === undefined ? undefined : headers();
    carrier?.set('traceparent', trace ?? '');
    const options = carrier === undefined ? {} : { headers: carrier };
    // A lost ring is made up for by a look.
    this.#nats.here()?.publish(this.#subjectOf(key), undefined, options);
  }

  listen(key: string, wake: () => void): { close(): void } {
    const listening = this.#here.listen(key, wake);
    const rope = this.#ropes.get(key) ?? this.#hang(key);
    rope.listeners++;
    let isOpen = true;
    return {
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        listening.close();
        rope.listeners--;
        if (rope.listeners > 0) return;
        this.#ropes.delete(key);
        this.#nats.detach(rope.attachment);
        if (rope.subscription?.isClosed() === false) rope.subscription.unsubscribe();
      },
    };
  }

  async isHeard(key: string): Promise<boolean> {
    if (await this.#here.isHeard(key)) return true;
    const connection = this.#nats.here();
    if (connection === undefined) return false;
    return await connection.request(this.#subjectOf(key), undefined, { timeout: ASK_MS }).then(
      () => true,
      () => false,
    );
  }

  /** After NATS was away: whoever listens here may have missed a ring, and so may others of ours. */
  #makeUp(): void {
    for (const key of this.#missed) this.#ringElsewhere(key);
    this.#missed.clear();
    // Not all at once: each look costs a read.
    const withinMs = (this.#ropes.size / LOOKS_PER_SECOND) * 1_000;
    for (const key of this.#ropes.keys()) {
      setTimeout(() => this.#here.ring(key), Math.random() * withinMs).unref();
    }
  }

  #hang(key: string): Rope {
    const rope: Rope = {
      listeners: 0,
      subscription: undefined,
      attachment: (connection) => {
        rope.subscription = connection.subscribe(this.#subjectOf(key), {
          callback: (error, message) => {
            if (error !== null) return;
            // Whoever asks whether we are here does not ring.
            if (message.reply !== undefined && message.reply !== '') message.respond();
            else continueTrace(message.headers?.get('traceparent'), () => this.#here.ring(key));
          },
        });
      },
    };
    this.#ropes.set(key, rope);
    this.#nats.attach(rope.attachment);
    return rope;
  }

  #subjectOf(key: string): string {
    const { service, secretKey } = this.#options;
    const digest = createHmac('sha256', secretKey).update('roost bell 1 ').update(key).digest();
    return `${this.#nats.prefix}.bell.${service}.${digest.toString('base64url')}`;
  }
}

const MISSED_MAX = 10_000;
const LOOKS_PER_SECOND = 5_000;
/** Somebody who listens answers at once. */
const ASK_MS = 500;
