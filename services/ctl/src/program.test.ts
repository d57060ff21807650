// What command lines are taken and what is said about the others.
import { expect, test } from '@jest/globals';
import { AuthenticationAdminServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { answering, operatorOf, roostctl } from './operator.fixture.ts';
import { addressesOf, placeOf } from './place.ts';

const failed = async (...args: readonly string[]): Promise<string> =>
  await roostctl(...args).then(
    ({ output }) => `no refusal: ${output}`,
    (error: unknown) => String(error),
  );

test.each([
  [[], /say what to do: see --help/],
  [['invites'], /say what to do: see --help/],
  [['invitess'], /unknown command 'invitess' \(Did you mean invites\?\): see --help/],
  [['invites', 'make'], /unknown command 'make'.*--help/],
  [['invites', 'create', '--count', '0'], /--count "0" makes no sense: give a whole number from 1/],
  [['invites', 'create', '--count', 'many'], /--count "many"/],
  [['invites', 'list', '--count', '1'], /unknown option '--count'.*--help/],
  [['invites', 'list', 'all'], /too many arguments.*--help/],
  [['invites', 'list', '--address', 'as:7443'], /belong together/],
  [['invites', 'list', '--data', '/d', '--domain', 'a.example'], /belong together/],
  [['certificates', '--domain', 'a.example'], /--out/],
  [['certificates', '--domain', 'A b', '--out', '/c'], /--domain: give a domain name/],
  [['users', 'delete', 'alice'], /deletes "alice" for ever: add --yes/],
  [['users', 'show', '01234567-89ab-cdef-0123-456789abcdef@'], /no id of a user/],
  [['users', 'limits', 'alice', '--general', 'lots'], /--general "lots"/],
  [['federation', 'mode', 'closed'], /no mode "closed", only allowlist and open/],
  [['federation', 'allow', 'no domain'], /"no domain" is no domain of a homeserver/],
  [['federation', 'trust', 'b.example'], /missing required argument 'keys'/],
  [['federation', 'trust', 'b.example', 'abc'], /"abc" is no id of a key/],
  [['keys', 'revoke', '0123456789abcdef'], /add --yes/],
  [['audit', 'verify', '/not/there'], /\/not\/there cannot be read \(ENOENT\)/],
])('%j is refused with a sentence', async (args, sentence) => {
  expect(await failed(...args)).toMatch(sentence);
});

test('every command has help, with an example', async () => {
  const walk = async (path: readonly string[]): Promise<string[]> => {
    const { output } = await roostctl(...path, '--help');
    const [, listed = ''] = output.split('Commands:\n');
    const names = [...listed.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name);
    const inner = names.filter((name) => name !== 'help' && name !== 'roostctl');
    if (inner.length === 0) return [output.includes('Examples:') ? '' : path.join(' ')];
    return (await Promise.all(inner.map((name) => walk([...path, name])))).flat();
  };
  const without = await walk([]);
  expect(without.length).toBeGreaterThan(25);
  expect(without.filter((each) => each !== '')).toEqual([]);
});

test('where it is may be said by the environment, all or nothing, and by service', () => {
  const environment = {
    ROOSTCTL_ADDRESS: 'as:7443,aas=aas:7443,aas-2:7443,ds=ds:1',
    ROOSTCTL_CERTIFICATES: '/c',
    ROOSTCTL_DOMAIN: 'home.example',
  };
  const addresses = new Map([
    ['as', ['as:7443']],
    ['aas', ['aas:7443', 'aas-2:7443']],
    ['ds', ['ds:1']],
  ]);
  expect(placeOf({}, environment)).toEqual({
    ...{ addresses, certificates: '/c', domain: 'home.example' },
  });
  expect(placeOf({ data: '/d' }, environment)).toEqual({ data: '/d' });
  expect(() => placeOf({}, { ROOSTCTL_ADDRESS: 'as:7443' })).toThrow('belong together');
  expect(() => addressesOf('edge=e:1')).toThrow(/no service "edge", only as, aas, qs/);
  expect(() => addressesOf('as')).toThrow(/"as" is not host:port/);
});

test('a service that it was not told of is asked for by name', async () => {
  const place = ['--address', 'as=127.0.0.1:1', '--certificates', '/c', '--domain', 'a.example'];
  expect(await failed(...place, 'outbox')).toMatch(/add ds=host:port to --address/);
});

test('no homeserver, and one that refuses, are told in a sentence', async () => {
  expect(await failed('--data', '/not/there', 'users', 'list')).toMatch(
    /no homeserver answers on \/not\/there: start it/,
  );
  await using operator = await operatorOf();
  const refused = operator.roostctl('users', 'show', 'alice');
  await expect(refused).rejects.toThrow(/refused: .*\(METHOD_UNKNOWN\)/);
});

test('codes are printed a line each, or as JSON', async () => {
  const codes = ['abcde-fghij', 'klmno-pqrst'];
  const asked: unknown[] = [];
  const as = answering(
    AuthenticationAdminServiceDefinition,
    {
      createInvites: async () => ({ codes }),
      listInvites: async () => ({ open: 3n, used: 2n, expired: 1n }),
    },
    asked,
  );
  await using operator = await operatorOf([as]);
  const made = await operator.roostctl('invites', 'create', '--count', '2');
  expect(made.output).toBe('abcde-fghij\nklmno-pqrst\n');
  expect(asked).toEqual([{ createInvites: { count: 2, validDays: 30 } }]);
  const listed = await operator.roostctl('invites', 'list', '--json');
  expect(JSON.parse(listed.output)).toEqual({ open: 3, used: 2, expired: 1 });
});
