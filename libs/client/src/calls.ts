import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { type Clock, SECOND_MS, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { TokenClass } from '@roost/identity/issuer-keys';
import type { ProofKey } from '@roost/identity/proof';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { TokenServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { type CallOptions, clientOf, type Transport } from '@roost/rpc/call';

/** As which key a request is signed. */
export interface Signer {
  readonly key: ProofKey;
  readonly privateKey: Uint8Array;
}

/** How a call is signed and what it costs, as the rule of its method has it. */
interface Price {
  readonly token?: TokenClass;
  readonly sign?: Signer | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A clock that is put right by the server, for the requests that are signed with it. */
export class SkewedClock implements Clock {
  readonly #clock: Clock;
  #offsetMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly now = (): number => this.#clock.now() + this.#offsetMs;

  correct(serverTimeMs: bigint): void {
    this.#offsetMs = Number(serverTimeMs) - this.#clock.now();
  }
}

/** The services of the homeserver. */
export type Services = ReturnType<typeof servicesOf>;

export function servicesOf(
  transport: Transport,
  signing: { readonly crypto: Crypto; readonly clock: Clock; readonly audience: Domain },
) {
  return {
    authentication: clientOf(AuthenticationServiceDefinition, transport, signing),
    tokens: clientOf(TokenServiceDefinition, transport, signing),
    queue: clientOf(QueueServiceDefinition, transport, signing),
    delivery: clientOf(DeliveryServiceDefinition, transport, signing),
  };
}

/** Where tokens come from. */
export interface Purse {
  take(tokenClass: TokenClass): Promise<Uint8Array>;
  /** A token that was not heard to be spent: it is tried again before others. */
  giveBack(tokenClass: TokenClass, token: Uint8Array): void;
  /** The key of this token is not redeemed any more: neither is any other of it. */
  distrust(token: Uint8Array): Promise<void>;
}

/**
 * Makes calls as their price says. A refusal that says how to go on is followed at once: a clock
 * that is off is put right, a token that is spent or no longer good is replaced by the next.
 */
export class Caller {
  readonly #purse: Purse;
  readonly #clock: SkewedClock;
  readonly #closing: AbortSignal;
  readonly services: Services;

  constructor(parts: {
    readonly services: Services;
    readonly purse: Purse;
    readonly clock: SkewedClock;
    /** Ends all calls: what they asked for is asked again after the next start. */
    readonly closing: AbortSignal;
  }) {
    this.services = parts.services;
    this.#purse = parts.purse;
    this.#clock = parts.clock;
    this.#closing = parts.closing;
  }

  /** A unary call. One that ended UNAVAILABLE is tried once more, with the same token. */
  async ask<R>(price: Price, call: (options: CallOptions) => Promise<R>): Promise<R> {
    const attempts = new Attempts();
    let token = await this.#tokenFor(price);
    for (;;) {
      try {
        return await call(this.#optionsOf(price, token));
      } catch (error) {
        const next = attempts.after(error);
        if (next === 'fail' || this.#isOver(price)) {
          this.#keep(price, token, error);
          throw error;
        }
        if (next === 'later') await sleep(laterMs(error), price.signal);
        if (next === 'clock') this.#putRight(error);
        if (next === 'token') token = await this.#nextToken(price, token, error);
      }
    }
  }

  /** A stream; what is said of calls holds until its first message. */
  async *follow<R>(
    price: Price,
    call: (options: CallOptions) => AsyncIterable<R>,
  ): AsyncGenerator<R> {
    const attempts = new Attempts();
    let token = await this.#tokenFor(price);
    for (;;) {
      let hasBegun = false;
      try {
        for await (const message of call(this.#optionsOf(price, token))) {
          hasBegun = true;
          yield message;
        }
        return;
      } catch (error) {
        const next = hasBegun ? 'fail' : attempts.after(error);
        const isOver = ['fail', 'again', 'later'].includes(next);
        if (isOver || this.#isOver(price)) {
          if (!hasBegun) this.#keep(price, token, error);
          throw error;
        }
        if (next === 'clock') this.#putRight(error);
        if (next === 'token') token = await this.#nextToken(price, token, error);
      }
    }
  }

  #isOver({ signal }: Price): boolean {
    return this.#closing.aborted || signal?.aborted === true;
  }

  /** A call that nobody answered may have spent nothing. */
  #keep({ token: tokenClass }: Price, token: Uint8Array | undefined, error: unknown): void {
    const isUnheard = !(error instanceof Failure) || UNHEARD.has(error.reason);
    if (isUnheard && tokenClass !== undefined && token !== undefined) {
      this.#purse.giveBack(tokenClass, token);
    }
  }

  async #nextToken(
    price: Price,
    token: Uint8Array | undefined,
    error: unknown,
  ): Promise<Uint8Array | undefined> {
    const isInvalid = error instanceof Failure && error.reason === 'TOKEN_INVALID';
    if (isInvalid && token !== undefined) await this.#purse.distrust(token);
    return this.#tokenFor(price);
  }

  async #tokenFor({ token }: Price): Promise<Uint8Array | undefined> {
    return token === undefined ? undefined : this.#purse.take(token);
  }

  #optionsOf({ sign, signal }: Price, token: Uint8Array | undefined): CallOptions {
    const signals = signal === undefined ? [this.#closing] : [this.#closing, signal];
    return { sign, token, signal: AbortSignal.any(signals) };
  }

  #putRight(error: unknown): void {
    if (error instanceof Failure && error.facts.serverTimeMs !== undefined) {
      this.#clock.correct(error.facts.serverTimeMs);
    }
  }
}

const UNHEARD: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DRAINING']);

/** Tokens are spent by kills and timeouts too; far more than that is a server that is broken. */
const SPENT_TOKENS_MAX = 40;

/** A crowd at the door is waited out, within reason. */
const WAITS_MAX = 4;
const WAIT_MS_MAX = 10_000;

function laterMs(error: unknown): number {
  const afterMs = error instanceof Failure ? error.facts.retryAfterMs : undefined;
  return Math.min(WAIT_MS_MAX, afterMs ?? SECOND_MS);
}

/** What to do after a refusal; each remedy is limited. */
class Attempts {
  #wasUnavailable = false;
  #wasSkewed = false;
  #tokens = 0;
  #waits = 0;

  after(error: unknown): 'again' | 'later' | 'clock' | 'token' | 'fail' {
    if (!(error instanceof Failure)) return 'fail';
    switch (error.reason) {
      case 'UNAVAILABLE':
      case 'DRAINING':
        if (this.#wasUnavailable) return 'fail';
        this.#wasUnavailable = true;
        return 'again';
      case 'RATE_LIMITED':
        return ++this.#waits <= WAITS_MAX ? 'later' : 'fail';
      case 'CLOCK_SKEW':
        // The gate took the token before the service looked at the clock.
        if (this.#wasSkewed || error.facts.serverTimeMs === undefined) return 'fail';
        this.#wasSkewed = true;
        return 'clock';
      case 'TOKEN_SPENT':
      case 'TOKEN_INVALID':
        return ++this.#tokens <= SPENT_TOKENS_MAX ? 'token' : 'fail';
      default:
        return 'fail';
    }
  }
}
