import { expect, test } from '@jest/globals';
import { DAY_MS, MINUTE_MS } from '@roost/core/time';
import { decodeIssuerKeySet } from '@roost/identity/issuer-keys';
import { TokenInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { wrongStatements } from '@roost/testing/statements';
import {
  account,
  batch,
  clientsOf,
  draw,
  FIND,
  reasonOf,
  runningAas,
  SEND,
  signed,
} from './aas.fixture.ts';

test('every statement fits the schema', async () => {
  await using aas = await runningAas();
  expect(await wrongStatements(aas.database)).toEqual({});
});

test('a token opens one call, and of 100 who race with it, one passes', async () => {
  await using aas = await runningAas();
  const [token = '', other = ''] = await draw(aas, 'general', 2);
  const replica = await aas.open();
  const second = clientsOf(replica, aas.clock);
  const raced = await Promise.all(
    Array.from(
      { length: 100 },
      async (_, at) => await reasonOf((at % 2 === 0 ? aas : second).check(SEND, token)),
    ),
  );
  expect(raced.filter((answer) => answer === 'TOKEN_SPENT')).toHaveLength(99);

  // A restart forgets nothing.
  await replica.close();
  const restarted = await aas.open();
  const again = clientsOf(restarted, aas.clock);
  expect(await reasonOf(again.check(SEND, token))).toBe('TOKEN_SPENT');
  await again.check(SEND, other);
  await restarted.close();
});

test('what a method costs is decided by its exact path', async () => {
  await using aas = await runningAas();
  const [general = ''] = await draw(aas, 'general', 1);
  const [contact = ''] = await draw(aas, 'contact', 1);
  expect(await reasonOf(aas.check(SEND, ''))).toBe('TOKEN_REQUIRED');
  expect(await reasonOf(aas.check(SEND, contact))).toBe('TOKEN_REQUIRED');
  expect(await reasonOf(aas.check(FIND, general))).toBe('TOKEN_REQUIRED');
  for (const path of [
    ...[
      `${SEND}/`,
      SEND.toLowerCase(),
      `/${SEND}`,
      SEND.slice(1),
      `${SEND}?x`,
      `${SEND} `,
      '',
      '/',
    ],
    ...['/roost.tokens.v1.TokenInternalService/CheckToken', '/constructor', '/__proto__'],
  ]) {
    expect(await reasonOf(aas.check(path, general))).toBe('METHOD_UNKNOWN');
  }
  await aas.check('/roost.authentication.v1.AuthenticationService/GetHomeserver', '');
  await aas.check(SEND, general);
  await aas.check(FIND, contact);
});

test('an invalid token is refused and writes nothing', async () => {
  await using aas = await runningAas();
  const [token = ''] = await draw(aas, 'general', 1);
  const at = token.length - 20;
  const forged = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
  for (const header of ['Bearer x', 'PrivateToken token="AAAA"', forged, 'PrivateToken token=""']) {
    expect(['TOKEN_INVALID', 'TOKEN_REQUIRED']).toContain(await reasonOf(aas.check(SEND, header)));
  }
  const [rows] = await aas.database.query<{ n: bigint }>({
    text: 'SELECT count(*) AS n FROM spent',
  });
  expect(rows?.n).toBe(0n);
  await aas.check(SEND, token);
});

test('a call whose deadline has passed does not spend', async () => {
  await using aas = await runningAas();
  const [token = ''] = await draw(aas, 'general', 1);
  const gate = clientOf(
    TokenInternalServiceDefinition,
    localTransport(aas.service.bindings, 'gate'),
  );
  const late = gate.checkToken(
    { path: SEND, authorization: token },
    { signal: AbortSignal.abort() },
  );
  await expect(late).rejects.toBeDefined();
  await aas.check(SEND, token);
});

test('a batch is charged once: the same bytes get the same answer, other bytes do not', async () => {
  await using aas = await runningAas();
  const who = account(aas);
  const { request } = await batch(aas, 'general', 100);
  const answers = await Promise.all(
    Array.from(
      { length: 4 },
      async () => await aas.client.issueTokens(request(who, 0), signed(who)),
    ),
  );
  expect(
    new Set(answers.map(({ blindSignatures }) => Buffer.from(blindSignatures).toString('hex')))
      .size,
  ).toBe(1);
  expect(answers.map(({ remaining }) => remaining)).toEqual([200, 200, 200, 200]);

  const other = await batch(aas, 'general', 100);
  const used = aas.client.issueTokens(other.request(who, 0), signed(who));
  await expect(used).rejects.toMatchObject({ reason: 'BATCH_USED', facts: { lowestFree: 1 } });
  await aas.client.issueTokens(other.request(who, 1), signed(who));
  const third = await batch(aas, 'general', 100);
  await aas.client.issueTokens(third.request(who, 2), signed(who));
  const more = await batch(aas, 'general', 1);
  const exhausted = aas.client.issueTokens(more.request(who, 3), signed(who));
  await expect(exhausted).rejects.toMatchObject({ reason: 'ALLOWANCE_EXHAUSTED' });
});

test('an account has its own allowance where the operator set one; a suspended one has none', async () => {
  await using aas = await runningAas();
  const few = account(aas, { contactAllowance: 1 });
  const two = await batch(aas, 'contact', 2);
  expect(await reasonOf(aas.client.issueTokens(two.request(few, 0), signed(few)))).toBe(
    'ALLOWANCE_EXHAUSTED',
  );
  const suspended = account(aas, { isSuspended: true });
  expect(await reasonOf(aas.client.issueTokens(two.request(suspended, 0), signed(suspended)))).toBe(
    'SUSPENDED',
  );
});

test('nobody draws for another, of another day, with another key, or what is no number below n', async () => {
  await using aas = await runningAas();
  const [alice, mallory] = [account(aas), account(aas)];
  const { request } = await batch(aas, 'general', 2);
  const good = request(alice, 0);
  const cases: [Promise<unknown>, string][] = [
    [aas.client.issueTokens(good, signed(mallory)), 'NOT_ALLOWED'],
    [aas.client.issueTokens({ ...good, period: good.period + 1 }, signed(alice)), 'MALFORMED'],
    [
      aas.client.issueTokens({ ...good, tokenKeyId: new Uint8Array(32) }, signed(alice)),
      'MALFORMED',
    ],
    [aas.client.issueTokens({ ...good, issuedClass: 3 }, signed(alice)), 'MALFORMED'],
    [
      aas.client.issueTokens({ ...good, blinded: good.blinded.slice(1) }, signed(alice)),
      'MALFORMED',
    ],
    [
      aas.client.issueTokens({ ...good, blinded: new Uint8Array(256).fill(255) }, signed(alice)),
      'MALFORMED',
    ],
    [aas.client.issueTokens({ ...good, blinded: new Uint8Array(0) }, signed(alice)), 'MALFORMED'],
    [aas.client.issueTokens({ ...good, batchNumber: 100_000 }, signed(alice)), 'MALFORMED'],
  ];
  for (const [call, reason] of cases) expect(await reasonOf(call)).toBe(reason);
  const answer = await aas.client.issueTokens(good, signed(alice));
  expect(answer.remaining).toBe(298);
});

test('keys rotate with a day of overlap, and what was spent of a retired key is dropped', async () => {
  await using aas = await runningAas();
  const [early = '', late = ''] = await draw(aas, 'general', 2);
  aas.clock.advance(7 * DAY_MS + MINUTE_MS);
  const replicas = await Promise.all([aas.open(), aas.open()]);
  const second = clientsOf(replicas[0], aas.clock);
  const states = decodeIssuerKeySet((await second.client.getIssuerKeys({})).keySet).keys;
  expect(states.map(({ state }) => state).toSorted()).toEqual(
    ['current', 'current', 'next', 'next', 'previous', 'previous'].toSorted(),
  );
  await second.check(SEND, early);
  expect(await reasonOf(second.check(SEND, early))).toBe('TOKEN_SPENT');

  aas.clock.advance(DAY_MS);
  expect(await reasonOf(second.check(SEND, late))).toBe('TOKEN_INVALID');
  // It goes when the clock of no replica is that far behind.
  aas.clock.advance(10 * MINUTE_MS);
  const third = await aas.open();
  const [tables] = await aas.database.query<{ n: bigint }>({
    text: `SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'spent'::regclass`,
  });
  expect(tables?.n).toBe(4n);
  await Promise.all([...replicas, third].map(async (each) => await each.close()));
});

test('the rows name no account', async () => {
  await using aas = await runningAas();
  const who = account(aas);
  await draw(aas, 'general', 1, who);
  const rows = await aas.database.query({ text: 'SELECT account FROM allowances' });
  const dump = JSON.stringify(rows);
  expect(dump).not.toContain(who.clientId.user.uuid);
  expect(rows).toHaveLength(1);
});
