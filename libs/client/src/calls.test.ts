import { expect, test } from '@jest/globals';
import { Failure, type Reason } from '@roost/core/failure';
import type { TokenClass } from '@roost/identity/issuer-keys';
import type { CallOptions } from '@roost/rpc/call';
import { Caller, type Purse, type Services, SkewedClock } from './calls.ts';

/** Gives out 1, 2, 3, … and remembers what came back. */
class Numbered implements Purse {
  readonly returned: Uint8Array[] = [];
  readonly distrusted: Uint8Array[] = [];
  #last = 0;

  async take(): Promise<Uint8Array> {
    return Uint8Array.of(++this.#last);
  }

  giveBack(_: TokenClass, token: Uint8Array): void {
    this.returned.push(token);
  }

  async distrust(token: Uint8Array): Promise<void> {
    this.distrusted.push(token);
  }
}

/** A server that refuses for these reasons, one after the other, and then answers. */
function scene(...reasons: (readonly [Reason, bigint?])[]) {
  const purse = new Numbered();
  const clock = new SkewedClock({ now: () => 1_000 });
  const services = {} as Services;
  const caller = new Caller({ services, purse, clock, closing: new AbortController().signal });
  const tokens: (number | undefined)[] = [];
  const answer = async ({ token }: CallOptions): Promise<string> => {
    tokens.push(token?.[0]);
    const [reason, serverTimeMs] = reasons.shift() ?? [];
    if (reason !== undefined) throw new Failure(reason, reason, { serverTimeMs, retryAfterMs: 1 });
    return 'answer';
  };
  return { ask: () => caller.ask({ token: 'general' }, answer), tokens, purse, clock };
}

test('a call that ended UNAVAILABLE is made once more with the same token', async () => {
  const { ask, tokens } = scene(['UNAVAILABLE']);
  await expect(ask()).resolves.toBe('answer');
  expect(tokens).toEqual([1, 1]);
});

test('where that token was spent after all, the next one is given', async () => {
  const { ask, tokens } = scene(['UNAVAILABLE'], ['TOKEN_SPENT']);
  await expect(ask()).resolves.toBe('answer');
  expect(tokens).toEqual([1, 1, 2]);
});

test('a call that nobody answers costs no token', async () => {
  const { ask, purse, tokens } = scene(['UNAVAILABLE'], ['UNAVAILABLE']);
  await expect(ask()).rejects.toThrow('UNAVAILABLE');
  expect(tokens).toEqual([1, 1]);
  expect(purse.returned).toEqual([Uint8Array.of(1)]);
});

test('a token that does not hold is replaced, and none of its key is used any more', async () => {
  const { ask, purse, tokens } = scene(['TOKEN_INVALID']);
  await expect(ask()).resolves.toBe('answer');
  expect(tokens).toEqual([1, 2]);
  expect(purse.distrusted).toEqual([Uint8Array.of(1)]);
});

test('a clock that is off is put right once', async () => {
  const { ask, clock } = scene(['CLOCK_SKEW', 9_000n]);
  await expect(ask()).resolves.toBe('answer');
  expect(clock.now()).toBe(9_000);

  const twice = scene(['CLOCK_SKEW', 9_000n], ['CLOCK_SKEW', 9_000n]);
  await expect(twice.ask()).rejects.toThrow('CLOCK_SKEW');
});

test('a crowd at the door is waited out', async () => {
  const { ask, tokens } = scene(['RATE_LIMITED'], ['RATE_LIMITED']);
  await expect(ask()).resolves.toBe('answer');
  expect(tokens).toEqual([1, 1, 1]);
});

test('any other refusal is the end', async () => {
  const { ask, tokens, purse } = scene(['NOT_ALLOWED']);
  await expect(ask()).rejects.toThrow('NOT_ALLOWED');
  expect(tokens).toEqual([1]);
  expect(purse.returned).toEqual([]);
});
