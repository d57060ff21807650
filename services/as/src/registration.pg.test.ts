import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { DAY_MS, MINUTE_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { readAuthority } from '@roost/identity/authority';
import { verifyClientCredential, verifyNameBinding } from '@roost/identity/credentials';
import { encodeIssuerKeySet, verifyIssuerKeySet } from '@roost/identity/issuer-keys';
import { parseDomain } from '@roost/core/ids';
import { wrongStatements } from '@roost/testing/statements';
import {
  beginAs,
  connectionPackage,
  home,
  newcomer,
  registerAs,
  runningAs,
} from './actors.fixture.ts';

async function reasonOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    return error instanceof Failure ? error.reason : error;
  }
}

const times = <T>(count: number, make: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => make(at));

test('every statement fits the schema', async () => {
  await using as = await runningAs();
  expect(await wrongStatements(as.database)).toEqual({});
});

test('a user registers in two steps, and its credential verifies up to the root', async () => {
  await using as = await runningAs();
  const alice = await registerAs(as, 'Alice');

  const authority = readAuthority(nodeCrypto, home, await as.client.getPublicKeys({}));
  const { clientCredential, nameBinding } = alice.begun;
  const now = as.clock.now();
  const { credential } = verifyClientCredential(nodeCrypto, clientCredential, authority, now);
  expect(printId(credential.clientId)).toBe(printId(alice.clientId));
  const { binding } = verifyNameBinding(nodeCrypto, nameBinding, authority, now);
  expect(binding.userName).toEqual({ name: 'alice', domain: home });

  const found = await as.client.findUser({ userName: 'ALICE@roost.example' });
  expect(found.userId?.domain).toBe(home);
  expect(found.connectionPackages).toHaveLength(1);
});

test('of 50 who want one name at once, one gets it', async () => {
  await using as = await runningAs();
  const asked = await Promise.all(times(50, async () => await reasonOf(beginAs(as, 'wanted'))));
  expect(asked.filter((answer) => answer === 'NAME_TAKEN')).toHaveLength(49);
});

test('a registration that is not finished leaves nothing behind', async () => {
  await using as = await runningAs();
  const first = await beginAs(as, 'left');
  expect(await reasonOf(beginAs(as, 'left'))).toBe('NAME_TAKEN');
  expect(await reasonOf(as.client.findUser({ userName: 'left' }))).toBe('USER_UNKNOWN');

  as.clock.advance(11 * MINUTE_MS);
  const made = connectionPackage(first.key, first.begun.clientCredential, as.clock);
  const late = { registrationId: first.registrationId, connectionPackage: made };
  expect(await reasonOf(as.client.finishRegistration(late, first.signed))).toBe('UNAUTHENTICATED');
  await registerAs(as, 'left');
});

test('both steps may be repeated, and a finished name stays taken', async () => {
  await using as = await runningAs();
  const who = newcomer();
  const { registrationId, credentialRequest, sign } = who;
  const request = { registrationId, userName: 'again', credentialRequest, inviteCode: '' };
  const first = await as.client.beginRegistration(request, { sign });
  expect(await as.client.beginRegistration(request, { sign })).toEqual(first);
  const other = { ...request, userName: 'other' };
  expect(await reasonOf(as.client.beginRegistration(other, { sign }))).toBe('ID_REUSED');

  const registered = await registerAs(as, 'twice');
  const made = connectionPackage(registered.key, registered.begun.clientCredential, as.clock);
  const finish = { registrationId: registered.registrationId, connectionPackage: made };
  await as.client.finishRegistration(finish, registered.signed);
  expect(await reasonOf(beginAs(as, 'twice'))).toBe('NAME_TAKEN');
});

test('a client that is not registered yet can do nothing but the second step', async () => {
  await using as = await runningAs();
  const pending = await beginAs(as, 'pending');
  const dequeue = as.client.dequeueDirect({ fromSequence: 0n, max: 0 }, pending.signed);
  expect(await reasonOf(dequeue)).toBe('UNAUTHENTICATED');
  const mallory = await registerAs(as, 'mallory');
  const made = connectionPackage(mallory.key, mallory.begun.clientCredential, as.clock);
  const theft = { registrationId: pending.registrationId, connectionPackage: made };
  expect(await reasonOf(as.client.finishRegistration(theft, mallory.signed))).toBe('MALFORMED');
});

test('one invite code lets one in, although 20 race with it', async () => {
  await using as = await runningAs({ registration: 'invite' });
  expect(await reasonOf(beginAs(as, 'nobody'))).toBe('INVITE_REQUIRED');
  const { codes } = await as.admin.createInvites({ count: 2, validDays: 1 });
  const [code = '', late = ''] = codes;
  const raced = await Promise.all(
    times(20, async (at) => await reasonOf(registerAs(as, `guest${at}`, code.toUpperCase()))),
  );
  expect(raced.filter((answer) => answer === 'INVITE_REQUIRED')).toHaveLength(19);
  expect(await as.admin.listInvites({})).toEqual({ open: 1n, used: 1n, expired: 0n });

  as.clock.advance(2 * DAY_MS);
  expect(await reasonOf(beginAs(as, 'tardy', late))).toBe('INVITE_REQUIRED');
  expect(await as.admin.listInvites({})).toEqual({ open: 0n, used: 1n, expired: 1n });
});

test('an id cannot be changed, not even by us', async () => {
  await using as = await runningAs();
  await registerAs(as, 'fixed');
  const change = as.database.query({ text: 'UPDATE users SET user_uuid = gen_random_uuid()' });
  await expect(change).rejects.toThrow();
});

test('a suspended user is refused at once, and the AAS hears of it', async () => {
  await using as = await runningAs();
  const user = await registerAs(as, 'suspended');
  await as.database.query({ text: 'UPDATE users SET is_suspended = true' });
  const dequeue = as.client.dequeueDirect({ fromSequence: 0n, max: 0 }, user.signed);
  expect(await reasonOf(dequeue)).toBe('SUSPENDED');
  const { clientId } = user.begun;
  expect(await as.internal.getClient({ clientId })).toMatchObject({ isSuspended: true });
  expect(await reasonOf(as.client.findUser({ userName: 'suspended' }))).toBe('USER_UNKNOWN');
});

test('a credential is renewed for the same key only', async () => {
  await using as = await runningAs();
  const user = await registerAs(as, 'renewing');
  as.clock.advance(DAY_MS);
  const { credentialRequest } = user;
  const renewed = await as.client.renewCredential({ credentialRequest }, user.signed);
  expect(renewed.clientCredential).not.toEqual(user.begun.clientCredential);
  const other = { credentialRequest: newcomer().credentialRequest };
  expect(await reasonOf(as.client.renewCredential(other, user.signed))).toBe('MALFORMED');
});

test('names of other domains, and of nobody, are refused by their own reasons', async () => {
  await using as = await runningAs();
  const find = async (userName: string) => await reasonOf(as.client.findUser({ userName }));
  expect(await find('bob@other.example')).toBe('FEDERATION_DENIED');
  expect(await find('nobody')).toBe('USER_UNKNOWN');
  expect(await find('!')).toBe('MALFORMED');
  expect(await reasonOf(beginAs(as, 'bob@other.example'))).toBe('FEDERATION_DENIED');
  expect(await reasonOf(beginAs(as, 'x'))).toBe('MALFORMED');
});

test('the AS signs the issuer keys of its own domain and nothing else', async () => {
  await using as = await runningAs();
  const set = { domain: home, createdMs: 1n, keys: [] };
  const keySet = encodeIssuerKeySet(set);
  const { issuer, signature } = await as.internal.signIssuerKeys({ keySet });
  const authority = readAuthority(nodeCrypto, home, await as.client.getPublicKeys({}));
  const key = [...authority.intermediates.values()].find(
    ({ hash }) => toText(hash) === toText(issuer),
  );
  expect(verifyIssuerKeySet(nodeCrypto, key?.publicKey ?? issuer, keySet, signature)).toBe(true);

  const foreign = encodeIssuerKeySet({ ...set, domain: parseDomain('other.example') });
  expect(await reasonOf(as.internal.signIssuerKeys({ keySet: foreign }))).toBe('MALFORMED');
  const garbage = new Uint8Array(64).fill(9);
  expect(await reasonOf(as.internal.signIssuerKeys({ keySet: garbage }))).toBe('MALFORMED');
});

test('two replicas that start at once share one root, and a restart keeps it', async () => {
  await using as = await runningAs();
  const before = await as.client.getPublicKeys({});
  const replicas = await Promise.all([as.open(), as.open()]);
  const [rows] = await as.database.query<{ n: bigint }>({
    text: 'SELECT count(*) AS n FROM authorities',
  });
  expect(rows?.n).toBe(2n);
  expect((await as.client.getPublicKeys({})).roots).toEqual(before.roots);
  await Promise.all(replicas.map(async (replica) => await replica.close()));
});

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
