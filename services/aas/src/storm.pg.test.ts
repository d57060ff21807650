// Many who draw tokens at once, beside those who spend them.
import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { account, batch, draw, reasonOf, runningAas, SEND, signed } from './aas.fixture.ts';

test('a storm of draws is bounded, charges only what it answers, and checks go on beside it', async () => {
  await using aas = await runningAas();
  const [first = '', second = ''] = await draw(aas, 'general', 2);
  const drawn = await batch(aas, 'general', 60);
  const crowd = Array.from({ length: 200 }, () => account(aas));
  const heard: unknown[] = [];
  const storm = crowd.map(async (who) => {
    try {
      await aas.client.issueTokens(drawn.request(who, 0), signed(who));
      heard.push('issued');
    } catch (error) {
      heard.push(error);
    }
  });
  // While more wait than one thread signs within a second, a check is answered.
  await aas.check(SEND, first);
  expect(heard.filter((each) => each === 'issued').length).toBeLessThan(40);
  await aas.check(SEND, second);
  await Promise.all(storm);

  const issued = heard.filter((each) => each === 'issued').length;
  const refused = heard.filter((each) => each instanceof Failure && each.reason === 'RATE_LIMITED');
  expect(issued).toBeGreaterThanOrEqual(64);
  expect(refused.length).toBeGreaterThan(0);
  expect(issued + refused.length).toBe(200);
  const times = refused.map((each) => (each instanceof Failure ? each.facts.retryAfterMs : 0));
  expect(times.every((ms) => Number(ms) > 0)).toBe(true);
  const [charged] = await aas.database.query<{ tokens: bigint }>({
    text: 'SELECT sum(tokens) AS tokens FROM batches',
  });
  expect(Number(charged?.tokens)).toBe(2 + 60 * issued);

  // Afterwards everybody is let in again, with the same number.
  const [late] = crowd;
  if (late === undefined) throw new Error('there was a crowd');
  expect(
    await reasonOf(aas.client.issueTokens(drawn.request(late, 0), signed(late))),
  ).toMatchObject({ remaining: 240 });
});
