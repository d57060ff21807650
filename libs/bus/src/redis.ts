import { createHash, createHmac } from 'node:crypto';
import { backoffMs, sleep } from '@roost/core/time';
import { createClient } from 'redis';
import type { Limiter, Taken } from './ports.ts';

export interface RedisLimiterOptions {
  /** `redis://user:password@host:port`, or `rediss://` for TLS. */
  readonly url: string;
  /** 32 bytes: hides what a bucket is of. */
  readonly secretKey: Uint8Array;
  /** PEM: whom to trust with `rediss://`; what Node trusts where it is not given. */
  readonly ca?: string | undefined;
  /** Hears when the server goes away, and when it is there again. */
  readonly changed?: ((isThere: boolean) => void) | undefined;
  /** What keys begin with, so that several homeservers can share a server; `roost`. */
  readonly prefix?: string | undefined;
  /** How long one question may take; half a second, of the second that the edge waits. */
  readonly timeoutMs?: number | undefined;
  /** How long nothing may be heard over a connection before it is made anew; 5 s. */
  readonly patienceMs?: number | undefined;
}

type Options = RedisLimiterOptions &
  Readonly<Record<'timeoutMs' | 'patienceMs', number> & Record<'prefix', string>>;

/**
 * Token buckets in Redis or Valkey, shared by all replicas. A bucket is one key and one script, by the
 * server's own clock, so that it works in a cluster and replicas' clocks do not matter. Nothing here
 * is lost that matters: a server that is away, frozen or wiped is told to the caller, in bounded time.
 */
export class RedisLimiter implements Limiter, AsyncDisposable {
  readonly #options: Options;
  #client: Connection;
  #waiting = 0;
  /** Since when nothing was answered, and until when nobody asks again. */
  #away: { readonly sinceMs: number; untilMs: number } | undefined;
  #isClosed = false;

  /** Connects by itself, now and whenever the connection is lost. */
  constructor({
    prefix = 'roost',
    timeoutMs = 500,
    patienceMs = 5_000,
    ...rest
  }: RedisLimiterOptions) {
    this.#options = { prefix, timeoutMs, patienceMs, ...rest };
    this.#client = connect(rest);
  }

  async take(...[key, cost, bucket]: Parameters<Limiter['take']>): Promise<Taken> {
    if (this.#isClosed || this.#waiting >= WAITING_MAX || !this.#mayAsk()) return AWAY;
    this.#waiting++;
    const asked = this.#ask(key, cost, bucket).finally(() => this.#waiting--);
    try {
      const waitMs = await withinTime(asked, this.#options.timeoutMs);
      this.#found();
      return waitMs === 0 ? { ok: true } : { ok: false, retryAfterMs: waitMs };
    } catch {
      this.#lost();
      return AWAY;
    }
  }

  /** Whether the server answers; for a check before the start. */
  async isThere(): Promise<boolean> {
    const until = performance.now() + this.#options.patienceMs;
    while (!this.#client.isReady) {
      if (this.#isClosed || performance.now() > until) return false;
      await sleep(READY_POLL_MS);
    }
    try {
      await withinTime(this.#client.ping(), this.#options.patienceMs);
      return true;
    } catch {
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#client.destroy();
  }

  /** While it is away one asks, and the others hear at once that it is. */
  #mayAsk(): boolean {
    if (this.#away === undefined) return true;
    const now = performance.now();
    if (now < this.#away.untilMs) return false;
    this.#away.untilMs = now + QUIET_MS;
    return true;
  }

  async #ask(...[key, cost, bucket]: Parameters<Limiter['take']>): Promise<number> {
    const call = {
      keys: [this.#nameOf(key)],
      arguments: [bucket.capacity, bucket.refillPerSecond, cost].map(String),
    };
    const client = this.#client;
    try {
      return Number(await client.evalSha(SCRIPT_SHA, call));
    } catch (error) {
      // A server that was restarted or wiped does not know the script any more.
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return Number(await client.eval(SCRIPT, call));
    }
  }

  /** The braces say which part of a key places it in a cluster. */
  #nameOf(key: string): string {
    const { prefix, secretKey } = this.#options;
    const name = createHmac('sha256', secretKey).update(key).digest('base64url').slice(0, 22);
    return `${prefix}:{${name}}`;
  }

  #found(): void {
    if (this.#away === undefined) return;
    this.#away = undefined;
    this.#options.changed?.(true);
  }

  #lost(): void {
    if (this.#isClosed) return;
    const now = performance.now();
    if (this.#away === undefined) this.#options.changed?.(false);
    this.#away ??= { sinceMs: now, untilMs: 0 };
    this.#away.untilMs = now + QUIET_MS;
    const isSilent = this.#client.isReady && now - this.#away.sinceMs > this.#options.patienceMs;
    if (!isSilent) return;
    // A connection whose other side has gone without a word lives for many minutes by itself; so does
    // one to a server that refuses, where another one has taken its place.
    this.#client.destroy();
    this.#client = connect(this.#options);
    this.#away = { sinceMs: now, untilMs: now + QUIET_MS };
  }
}

/** Answers how many ms to wait; 0 where the cost was taken. The time is the server's own. */
const SCRIPT = `
local capacity, refill, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local level = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local gained = math.max(0, now - (tonumber(level[2]) or now)) / 1000 * refill
local tokens = math.min(capacity, (tonumber(level[1]) or capacity) + gained)
local function msUntil(missing) return math.min(86400000, math.ceil(missing / refill * 1000)) end
local wait = 0
if tokens >= cost then tokens = tokens - cost else wait = msUntil(cost - tokens) end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], msUntil(capacity - tokens) + 1000)
return wait
`;
const SCRIPT_SHA = createHash('sha1').update(SCRIPT).digest('hex');

const AWAY: Taken = { ok: false, isAway: true };
const WAITING_MAX = 1_000;
const QUIET_MS = 200;
const READY_POLL_MS = 20;
const CONNECT_MS = 2_000;
const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 1_000;

type Connection = ReturnType<typeof connect>;

function connect({ url, ca }: Pick<RedisLimiterOptions, 'url' | 'ca'>) {
  const socket = {
    connectTimeout: CONNECT_MS,
    reconnectStrategy: (retries: number) =>
      backoffMs(retries, RETRY_FIRST_MS, RETRY_LAST_MS, Math.random()),
  };
  const client = createClient({
    url,
    // What cannot be asked now is answered now.
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    socket: ca === undefined ? socket : { ...socket, tls: true, ca },
  });
  // Every lost connection is news here too; whoever asks hears of it.
  client.on('error', ignore);
  client.connect().catch(ignore);
  return client;
}

function ignore(): void {}

async function withinTime<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  // Where it was us who were busy, the answer lies there: it is read before the time counts as up.
  const end = (): void => reject(new Error('the server did not answer'));
  const timer = setTimeout(() => setImmediate(end), timeoutMs);
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}
