// What operators do about users and keys.
import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { clientWire, scopedWire } from '@roost/core/ids';
import { AuthorityKind, SectionType } from '@roost/proto/roost/authentication/v1/authentication';
import { beginAs, registerAs, runningAs } from './actors.fixture.ts';

async function reasonOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    return error instanceof Failure ? error.reason : error;
  }
}

const named = (userName: string) => ({ user: { userName, userId: undefined } });
const everybody = { after: '', prefix: '', isSuspended: false };

test('users are listed by name, page by page, by prefix, and the suspended by themselves', async () => {
  await using as = await runningAs();
  for (const name of ['carol', 'alice', 'bob']) await registerAs(as, name);
  await as.admin.setUserSuspended({ ...named('bob@roost.example'), isSuspended: true });

  const names = async (page: Partial<typeof everybody>) =>
    (await as.admin.listUsers({ ...everybody, ...page })).users.map(({ userName }) => userName);
  expect(await names({})).toEqual(['alice', 'bob', 'carol']);
  expect(await names({ after: 'alice' })).toEqual(['bob', 'carol']);
  expect(await names({ prefix: 'CA' })).toEqual(['carol']);
  expect(await names({ isSuspended: true })).toEqual(['bob']);

  const many = Array.from({ length: 501 }, (_, at) => `u${String(at).padStart(4, '0')}`);
  await as.database.query({
    text: `INSERT INTO users (user_uuid, user_name, name_binding)
           SELECT gen_random_uuid(), name, '\\x00' FROM unnest($1::text[]) AS name`,
    values: [many],
  });
  const first = await as.admin.listUsers({ ...everybody, prefix: 'u' });
  expect([first.users.length, first.hasMore]).toEqual([500, true]);
  const after = first.users.at(-1)?.userName ?? '';
  const second = await as.admin.listUsers({ ...everybody, prefix: 'u', after });
  expect([second.users.length, second.hasMore]).toEqual([1, false]);
});

test('a suspended user does nothing at the AS, and listens no longer, until it is let go on', async () => {
  await using as = await runningAs();
  const alice = await registerAs(as, 'alice');
  const listening = as.client.listenDirect({ fromSequence: 0n }, alice.signed);
  const ended = reasonOf(
    (async () => {
      for await (const _ of listening) expect(_).toBeDefined();
    })(),
  );
  // The stream stands once the queue knows a listener.
  for (;;) {
    const [row] = await as.database.query<{ listener: bigint }>({
      text: 'SELECT listener FROM clients',
    });
    if ((row?.listener ?? 0n) > 0n) break;
  }
  const { user } = await as.admin.setUserSuspended({ ...named('alice'), isSuspended: true });
  expect(user).toMatchObject({ userName: 'alice', isSuspended: true, clients: 1 });
  expect(await ended).toBe('LISTENER_REPLACED');
  const ask = async () =>
    await reasonOf(as.client.dequeueDirect({ fromSequence: 0n, max: 0 }, alice.signed));
  expect(await ask()).toBe('SUSPENDED');
  expect(await reasonOf(as.client.findUser({ userName: 'alice' }))).toBe('USER_UNKNOWN');

  await as.admin.setUserSuspended({ ...named('alice'), isSuspended: false });
  expect(await ask()).toMatchObject({ messages: [] });
});

test('a deleted user is gone with its clients, and its name is nobody else’s', async () => {
  await using as = await runningAs();
  const alice = await registerAs(as, 'alice');
  const shown = await as.admin.getUser(named('alice'));
  expect(shown.clients.map(({ clientId }) => clientId?.uuid.length)).toEqual([16]);
  const byId = { user: { userName: '', userId: scopedWire(alice.clientId.user) } };
  expect(await as.admin.getUser(byId)).toEqual(shown);

  expect(await as.admin.deleteUser(byId)).toEqual({ clients: 1 });
  expect(await reasonOf(as.admin.getUser(named('alice')))).toBe('USER_UNKNOWN');
  const call = as.client.dequeueDirect({ fromSequence: 0n, max: 0 }, alice.signed);
  expect(await reasonOf(call)).toBe('UNAUTHENTICATED');
  expect(await reasonOf(beginAs(as, 'alice'))).toBe('NAME_TAKEN');
  const kept = await as.database.query({ text: `SELECT * FROM retired_names` });
  expect(JSON.stringify(kept)).not.toContain('alice');
  expect(kept).toHaveLength(1);
  await registerAs(as, 'alice2');
});

test('limits of a user hold over the rule of the homeserver, and are taken back', async () => {
  await using as = await runningAs();
  await registerAs(as, 'alice');
  const set = async (general?: number, contact?: number) =>
    await as.admin.setUserAllowances({
      ...named('alice'),
      generalAllowance: general,
      contactAllowance: contact,
    });
  expect((await set(7, 0)).user).toMatchObject({ generalAllowance: 7, contactAllowance: 0 });
  const { clients } = await as.admin.getUser(named('alice'));
  const asked = await as.internal.getClient({ clientId: clients[0]?.clientId });
  expect(asked).toMatchObject({ generalAllowance: 7, contactAllowance: 0 });
  expect((await set()).user?.generalAllowance).toBeUndefined();
  expect(await reasonOf(set(10_000_001))).toBe('MALFORMED');
});

test.each([
  ['nobody', { user: undefined }, 'MALFORMED'],
  ['neither name nor id', named(''), 'MALFORMED'],
  ['a name that cannot be', named('A b'), 'MALFORMED'],
  ['a user of another homeserver', named('a1@b.example'), 'FEDERATION_DENIED'],
  ['a user that there is not', named('nobody'), 'USER_UNKNOWN'],
])('%s is refused', async (_, request, reason) => {
  await using as = await runningAs();
  expect(await reasonOf(as.admin.getUser(request))).toBe(reason);
  expect(await reasonOf(as.admin.deleteUser(request))).toBe(reason);
});

test('an intermediate that the operator asks for signs from now on, and what came before stays good', async () => {
  await using as = await runningAs();
  await registerAs(as, 'alice');
  const before = await as.admin.listAuthorities({});
  const { authority } = await as.admin.rotateIntermediate({});
  const { authorities } = await as.admin.listAuthorities({});
  expect(before.authorities.filter(({ isCurrent }) => isCurrent)).toHaveLength(2);
  expect(authorities.filter(({ kind }) => kind === AuthorityKind.INTERMEDIATE)).toHaveLength(2);
  expect(authorities.find(({ isCurrent }) => isCurrent)).toEqual(authority);
  const keys = await as.client.getPublicKeys({});
  expect(keys.intermediates).toHaveLength(2);
  await registerAs(as, 'bob');
});

test('after a restore a direct queue goes on behind a gap, and codes that were open are void', async () => {
  await using as = await runningAs({ registration: 'invite' });
  const [code = '', other = ''] = (await as.admin.createInvites({ count: 2, validDays: 1 })).codes;
  const alice = await registerAs(as, 'alice', code);
  const say = async (word: number) =>
    await as.client.enqueueDirect({
      userId: scopedWire(alice.clientId.user),
      messageId: new Uint8Array(16).fill(word),
      messages: [
        {
          clientId: clientWire(alice.clientId),
          sections: [{ type: SectionType.IDENTITY, sealed: new Uint8Array(100).fill(word) }],
        },
      ],
    });
  const heard = async (fromSequence: bigint) => {
    const { messages } = await as.client.dequeueDirect({ fromSequence, max: 0 }, alice.signed);
    return messages.map(({ sequence, sections }) => [sequence, sections[0]?.sealed[0]]);
  };
  await say(1);
  await say(2);
  await as.service.close();
  const reopened = await as.open(undefined, 3);
  await say(3);
  // Who read three of before the restore, and who read none.
  const [[gap] = []] = await heard(3n);
  expect(gap).toBeGreaterThan(1n << 27n);
  expect(await heard(0n)).toEqual([
    [0n, 1],
    [1n, 2],
    [gap, 3],
  ]);
  expect(await reasonOf(beginAs(as, 'bob', other))).toBe('INVITE_REQUIRED');
  await reopened.close();
});
