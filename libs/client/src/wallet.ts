import { concat, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { type Clock, DAY_MS, MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { IssuerKey, IssuerKeySet, TokenClass } from '@roost/identity/issuer-keys';
import { finishBatch, type PendingBatch, prepareBatch } from '@roost/tokens/blind';
import { newChallenge } from '@roost/tokens/challenge';
import { decodeToken, TOKEN_BYTES, tokenKeyId } from '@roost/tokens/token';
import { type Ledger, shelf } from './ledger.ts';

/** What the wallet asks of the AAS. */
export interface Issuer {
  /** The key set, verified to be the one that the AS signed. */
  keys(): Promise<IssuerKeySet>;
  issue(batch: IssueBatch): Promise<Uint8Array>;
}

export interface IssueBatch {
  readonly tokenClass: TokenClass;
  readonly period: number;
  readonly batchNumber: number;
  readonly tokenKeyId: Uint8Array;
  readonly blinded: Uint8Array;
}

interface WalletParts {
  readonly ledger: Ledger;
  readonly issuer: Issuer;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly domain: Domain;
}

/** Tokens that are drawn, one behind the other; those before `next` are spent. */
interface TokenBatch {
  readonly notAfterMs: bigint;
  readonly tokens: Uint8Array;
  readonly next: number;
}

/** A batch that is asked for. It is written down first: asked again with the same bytes, it is free. */
interface TokenDraft {
  readonly period: number;
  readonly batchNumber: number;
  readonly tokenKeyId: Uint8Array;
  readonly notAfterMs: bigint;
  readonly blinded: Uint8Array;
  readonly pending: PendingBatch;
}

const batches = shelf<TokenBatch>('tokens/');
const drafts = shelf<TokenDraft>('token-draft/');
const numbers = shelf<{ readonly period: number; readonly free: number }>('token-number/');
export const walletShelves = [batches, drafts, numbers];

/** Full batches, so that the time of drawing says nothing; smaller ones where the rest allows no more. */
const BATCH_SIZES = [100, 50, 20, 10, 5, 1];
const LOW_WATER = 25;
/** How often a draw is repeated because number, key or day were no longer the right ones. */
const STALE_RETRIES_MAX = 2;
/** Tokens are not used in the last minutes of their key: the clocks differ. */
const KEY_MARGIN_MS = 10 * MINUTE_MS;
/** How many spent tokens a kill may bring back; each costs a call that is refused, not one lost. */
const UNWRITTEN_MAX = 16;

/**
 * Tokens, drawn ahead in batches so that their issuance and their use are apart in time (design §4).
 */
export class Wallet {
  readonly #parts: WalletParts;
  readonly #drawing = new Map<TokenClass, Promise<void>>();
  readonly #emptyUntilMs = new Map<TokenClass, number>();
  readonly #returned: Record<TokenClass, Uint8Array[]> = { general: [], contact: [] };
  /** How far each batch is spent in memory; the ledger hears of it every few tokens. */
  readonly #spent = new Map<string, number>();

  constructor(parts: WalletParts) {
    this.#parts = parts;
  }

  /** The next token of a class; draws first where there is none, and ahead where few are left. */
  async take(tokenClass: TokenClass): Promise<Uint8Array> {
    const returned = this.#returned[tokenClass].pop();
    if (returned !== undefined) return returned;
    let token = this.#next(tokenClass);
    if (token === undefined) {
      await this.#draw(tokenClass);
      token = this.#next(tokenClass);
    }
    if (token === undefined) throw new Failure('ALLOWANCE_EXHAUSTED', 'no token could be drawn');
    if (this.count(tokenClass) < LOW_WATER) this.#draw(tokenClass).catch(() => undefined);
    return token;
  }

  /** Takes a token back that may not be spent. */
  giveBack(tokenClass: TokenClass, token: Uint8Array): void {
    this.#returned[tokenClass].push(token);
  }

  /** How many tokens of a class are at hand. */
  count(tokenClass: TokenClass): number {
    const left = this.#usable(tokenClass).map(([key, batch]) => {
      return batch.tokens.length / TOKEN_BYTES - this.#nextIn(key, batch);
    });
    return left.reduce((sum, each) => sum + each, 0);
  }

  /** Makes sure that tokens of both classes are at hand. */
  async fill(): Promise<void> {
    for (const tokenClass of ['general', 'contact'] as const) {
      if (this.count(tokenClass) < LOW_WATER) await this.#draw(tokenClass);
    }
  }

  /** Writes down which tokens are spent; done before the client closes. */
  async flush(): Promise<void> {
    await this.#parts.ledger.turn((turn) => {
      for (const [key, next] of this.#spent) {
        const batch = turn.get(batches, key);
        if (batch !== undefined && next > batch.next) turn.put(batches, key, { ...batch, next });
      }
      for (const [key, batch] of turn.list(batches)) {
        const isEmpty = this.#nextIn(key, batch) * TOKEN_BYTES >= batch.tokens.length;
        if (isEmpty || !this.#isGood(batch)) turn.delete(batches, key);
      }
    });
  }

  /** Forgets all tokens of the key of this one: it retired, or the homeserver was restored. */
  async distrust(token: Uint8Array): Promise<void> {
    const key = toHex(decodeToken(token).tokenKeyId);
    this.#returned.general.length = 0;
    this.#returned.contact.length = 0;
    await this.#parts.ledger.turn((turn) => {
      for (const [name, { tokens }] of turn.list(batches)) {
        const first = tokens.subarray(0, TOKEN_BYTES);
        if (toHex(decodeToken(first).tokenKeyId) === key) turn.delete(batches, name);
      }
    });
  }

  #next(tokenClass: TokenClass): Uint8Array | undefined {
    for (const [key, batch] of this.#usable(tokenClass)) {
      const at = this.#nextIn(key, batch);
      if ((at + 1) * TOKEN_BYTES > batch.tokens.length) continue;
      this.#spent.set(key, at + 1);
      if (at + 1 - batch.next >= UNWRITTEN_MAX) void this.flush().catch(() => undefined);
      return batch.tokens.slice(at * TOKEN_BYTES, (at + 1) * TOKEN_BYTES);
    }
    return undefined;
  }

  #usable(tokenClass: TokenClass): [string, TokenBatch][] {
    const all = this.#parts.ledger.list(batches, `${tokenClass}/`);
    return all.filter(([, batch]) => this.#isGood(batch));
  }

  #isGood(batch: TokenBatch): boolean {
    return Number(batch.notAfterMs) - KEY_MARGIN_MS > this.#parts.clock.now();
  }

  #nextIn(key: string, batch: TokenBatch): number {
    return Math.max(batch.next, this.#spent.get(key) ?? 0);
  }

  /** One draw at a time for each class; whoever comes meanwhile waits for the same. */
  #draw(tokenClass: TokenClass): Promise<void> {
    const running = this.#drawing.get(tokenClass);
    if (running !== undefined) return running;
    const draw = this.#drawOnce(tokenClass).finally(() => this.#drawing.delete(tokenClass));
    this.#drawing.set(tokenClass, draw);
    return draw;
  }

  async #drawOnce(tokenClass: TokenClass): Promise<void> {
    const untilMs = this.#emptyUntilMs.get(tokenClass) ?? 0;
    const waitMs = untilMs - this.#parts.clock.now();
    if (waitMs > 0) {
      const facts = { retryAfterMs: waitMs };
      throw new Failure('ALLOWANCE_EXHAUSTED', 'the tokens of today are used up', facts);
    }
    let retries = STALE_RETRIES_MAX;
    for (let at = 0; ;) {
      try {
        await this.#drawBatch(tokenClass, BATCH_SIZES[at] ?? 1);
        return;
      } catch (error) {
        if (isStale(error) && retries-- > 0) continue;
        if (!isExhausted(error)) throw error;
        if (++at < BATCH_SIZES.length) continue;
        const afterMs = error.facts.retryAfterMs ?? DAY_MS;
        this.#emptyUntilMs.set(tokenClass, this.#parts.clock.now() + afterMs);
        throw error;
      }
    }
  }

  /** Draws one batch; a draft that a kill left behind is finished, whatever size it has. */
  async #drawBatch(tokenClass: TokenClass, size: number): Promise<void> {
    const { ledger, issuer, crypto } = this.#parts;
    const draft = ledger.get(drafts, tokenClass) ?? (await this.#drafted(tokenClass, size));
    const answer = await issuer.issue({ tokenClass, ...draft }).catch(async (error: unknown) => {
      // Any refusal leaves the draft of no use: the next one has another size, number, key or day.
      if (error instanceof Failure && error.reason !== 'UNAVAILABLE') {
        await this.#abandon(tokenClass, draft, error.facts.lowestFree);
      }
      throw error;
    });
    const tokens = concat(...finishBatch(crypto, draft.pending, answer));
    await ledger.turn((turn) => {
      const key = `${tokenClass}/${draft.period}/${String(draft.batchNumber).padStart(6, '0')}`;
      turn.put(batches, key, { notAfterMs: draft.notAfterMs, tokens, next: 0 });
      turn.put(numbers, tokenClass, { period: draft.period, free: draft.batchNumber + 1 });
      turn.delete(drafts, tokenClass);
    });
  }

  async #drafted(tokenClass: TokenClass, size: number): Promise<TokenDraft> {
    const { ledger, issuer, crypto, clock, domain } = this.#parts;
    const key = currentKey(await issuer.keys(), tokenClass);
    const period = Math.floor(clock.now() / DAY_MS);
    const known = ledger.get(numbers, tokenClass);
    const { requests, state } = prepareBatch(crypto, key.spki, newChallenge(domain), size);
    const draft: TokenDraft = {
      period,
      batchNumber: known?.period === period ? known.free : 0,
      tokenKeyId: tokenKeyId(crypto, key.spki),
      notAfterMs: key.notAfter,
      blinded: requests,
      pending: state,
    };
    await ledger.turn((turn) => turn.put(drafts, tokenClass, draft));
    return draft;
  }

  async #abandon(
    tokenClass: TokenClass,
    draft: TokenDraft,
    lowestFree: number | undefined,
  ): Promise<void> {
    await this.#parts.ledger.turn((turn) => {
      const current = turn.get(drafts, tokenClass);
      if (current !== undefined && toHex(current.blinded) === toHex(draft.blinded)) {
        turn.delete(drafts, tokenClass);
      }
      if (lowestFree !== undefined) {
        turn.put(numbers, tokenClass, { period: draft.period, free: lowestFree });
      }
    });
  }
}

function currentKey({ keys }: IssuerKeySet, tokenClass: TokenClass): IssuerKey {
  const key = keys.find((each) => each.tokenClass === tokenClass && each.state === 'current');
  if (key === undefined) throw new Failure('UNAVAILABLE', 'the homeserver issues no tokens now');
  return key;
}

function isStale(error: unknown): boolean {
  return error instanceof Failure && ['BATCH_USED', 'MALFORMED'].includes(error.reason);
}

function isExhausted(error: unknown): error is Failure {
  return error instanceof Failure && error.reason === 'ALLOWANCE_EXHAUSTED';
}
