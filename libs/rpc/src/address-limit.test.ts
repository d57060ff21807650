import { expect, test } from '@jest/globals';
import { Caller, LimiterAway, type Rule, TokenClass } from '@roost/proto/roost/access/v1/access';

import { addressKey, limitAddress, type Taken } from './address-limit.ts';

const rule: Rule = {
  token: TokenClass.EXEMPT,
  caller: Caller.ANYONE,
  federated: false,
  services: [],
  requestBytesMax: 0,
  service: 'as',
  limiterAway: LimiterAway.PASS,
  destination: '',
};

test('one subscriber has one bucket, however its address is written, and it is not shown', () => {
  const same = [
    ['192.0.2.1', '::ffff:192.0.2.1'],
    ['2001:db8:1:2::1', '2001:0DB8:1:2:ffff:1:2:3', '2001:db8:1:2:0:0:0:9%eth0'],
    ['::1', '0:0:0:0:1::', '::'],
  ];
  const keys = same.map((addresses) => new Set(addresses.map(addressKey)));
  expect(keys.map(({ size }) => size)).toEqual([1, 1, 1]);
  expect(new Set(keys.flatMap((each) => [...each])).size).toBe(3);
  expect(addressKey('2001:db8:1:3::1')).not.toBe(addressKey('2001:db8:1:2::1'));
  expect(addressKey('192.0.2.2')).not.toBe(addressKey('192.0.2.1'));
  expect(addressKey('192.0.2.1')).toMatch(/^address\.[0-9a-f]{32}$/);
});

test('while the limiter is away the rule of the method decides', async () => {
  const ask = async (taken: Taken, limiterAway: LimiterAway) =>
    await limitAddress({ take: async () => taken }, '192.0.2.1', { ...rule, limiterAway });
  const away: Taken = { ok: false, isAway: true };
  await ask(away, LimiterAway.PASS);
  await expect(ask(away, LimiterAway.REFUSE)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  // A rule that says nothing does not open.
  await expect(ask(away, LimiterAway.UNSPECIFIED)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  await ask({ ok: true }, LimiterAway.REFUSE);
  await expect(ask({ ok: false, retryAfterMs: 70 }, LimiterAway.PASS)).rejects.toMatchObject({
    reason: 'RATE_LIMITED',
    facts: { retryAfterMs: 70 },
  });
});
