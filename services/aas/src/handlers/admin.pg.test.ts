// Issuer keys that an operator replaces.
import { expect, test } from '@jest/globals';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { IssuerKeyState } from '@roost/proto/roost/tokens/v1/admin';
import { account, batch, draw, reasonOf, runningAas, SEND, signed } from '../aas.fixture.ts';

const { CURRENT, NEXT, PREVIOUS } = IssuerKeyState;

test('after a rotation the next keys issue, and what was drawn is good for its overlap', async () => {
  await using aas = await runningAas();
  const who = account(aas);
  const [token = '', late = ''] = await draw(aas, 'general', 2, who);
  const old = await batch(aas, 'general', 1);
  const before = (await aas.admin.listIssuerKeys({})).keys;
  expect(before.map(({ tokenClass, state }) => [tokenClass, state])).toEqual([
    ...[
      [2, CURRENT],
      [2, NEXT],
      [3, CURRENT],
      [3, NEXT],
    ],
  ]);
  aas.clock.advance(HOUR_MS);
  const { keys } = await aas.admin.rotateIssuerKeys({ isVoid: false });
  expect(keys.filter(({ tokenClass }) => tokenClass === 2).map(({ state }) => state)).toEqual([
    ...[PREVIOUS, CURRENT, NEXT],
  ]);
  expect(keys[1]?.tokenKeyId).toEqual(before[1]?.tokenKeyId);

  await aas.check(SEND, token);
  const stale = aas.client.issueTokens(old.request(who, 1), signed(who));
  expect(await reasonOf(stale)).toBe('MALFORMED');
  const fresh = await batch(aas, 'general', 1);
  await aas.client.issueTokens(fresh.request(who, 1), signed(who));
  aas.clock.advance(DAY_MS);
  expect(await reasonOf(aas.check(SEND, late))).toBe('TOKEN_INVALID');
});

test('keys that are void are so at every replica at once, and everybody may draw again', async () => {
  await using aas = await runningAas({ quantities: { general: 2, contact: 2 } });
  const [one, two] = [await aas.replica(), await aas.replica()];
  const who = account(aas);
  const [spent = '', token = ''] = await draw(aas, 'general', 2, who);
  await two.check(SEND, spent);

  const { keys } = await one.admin.rotateIssuerKeys({ isVoid: true });
  expect(keys.map(({ state }) => state)).toEqual([CURRENT, NEXT, CURRENT, NEXT]);
  // The other has the old keys in memory still.
  for (const each of [two, one]) {
    for (const header of [spent, token]) {
      expect(await reasonOf(each.check(SEND, header))).toBe('TOKEN_INVALID');
    }
  }
  const drawn = await batch({ ...one, clock: aas.clock }, 'general', 2);
  const answer = await one.client.issueTokens(drawn.request(who, 0), signed(who));
  const [fresh = ''] = drawn.tokens(answer.blindSignatures);
  await one.check(SEND, fresh);
});

test('where one key is gone, tokens of others in the same insert are spent all the same', async () => {
  await using aas = await runningAas();
  const stale = await aas.replica();
  const [general = ''] = await draw(aas, 'general', 1);
  const [contact = ''] = await draw(aas, 'contact', 1);
  await stale.client.getIssuerKeys({});
  const [gone] = await aas.database.query<{ number: number }>({
    text: 'SELECT key_number AS number FROM issuer_keys WHERE token_class = 3 ORDER BY issues_from LIMIT 1',
  });
  await aas.database.query({ text: `DROP TABLE spent_${gone?.number}` });
  const FIND = '/roost.authentication.v1.AuthenticationService/FindUser';
  const asked = [stale.check(FIND, contact), stale.check(SEND, general)];
  expect(await Promise.all(asked.map(reasonOf))).toEqual(['TOKEN_INVALID', {}]);
});

test('where a backup was restored no token of before is good, spent or not, and nothing is served until then', async () => {
  await using aas = await runningAas({ quantities: { general: 3, contact: 1 } });
  const who = account(aas);
  const [before = '', since = '', unspent = ''] = await draw(aas, 'general', 3, who);
  await aas.check(SEND, before);
  await aas.check(SEND, since);
  // As the backup has it.
  await aas.database.query({ text: 'DELETE FROM spent' });
  const restored = await aas.replica({ incarnation: 2 });
  for (const each of [before, since, unspent]) {
    expect(await reasonOf(restored.check(SEND, each))).toBe('TOKEN_INVALID');
  }
  const fresh = await batch({ ...restored, clock: aas.clock }, 'general', 3);
  const answer = await restored.client.issueTokens(fresh.request(who, 0), signed(who));
  for (const each of fresh.tokens(answer.blindSignatures)) await restored.check(SEND, each);
  await expect(aas.replica({ incarnation: 1 })).rejects.toThrow('has served incarnation 2');
});
