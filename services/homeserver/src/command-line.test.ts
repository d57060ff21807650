import { expect, test } from '@jest/globals';
import { HELP, parseCommandLine } from './command-line.ts';

test('nothing said is loopback, and invites unless it is for development', () => {
  expect(parseCommandLine([])).toMatchObject({
    listen: { host: '127.0.0.1', port: 7680 },
    tls: undefined,
    registration: 'invite',
    reset: false,
  });
  expect(parseCommandLine(['--development'])).toMatchObject({ registration: 'open' });
});

test('an address that others can reach needs TLS, or --insecure', () => {
  const open = ['--listen', '0.0.0.0:7680'];
  expect(() => parseCommandLine(open)).toThrow(/--listen 0\.0\.0\.0 .*--tls-cert.*--insecure/);
  expect(parseCommandLine([...open, '--insecure'])).toMatchObject({ listen: { host: '0.0.0.0' } });
  const tls = ['--tls-cert', 'a.pem', '--tls-key', 'b.pem'];
  expect(parseCommandLine([...open, ...tls])).toMatchObject({
    tls: { cert: 'a.pem', key: 'b.pem' },
  });
  for (const host of ['[::1]', 'localhost', '127.3.2.1']) {
    expect(parseCommandLine(['--listen', `${host}:1`])).toMatchObject({ tls: undefined });
  }
});

test.each([
  [['--lisen', 'x'], /'--lisen'.*--help/],
  [['start'], /'start'.*--help/],
  [['--listen'], /'--listen.*--help/],
  [['--listen', '7680'], /--listen "7680" .*host:port/],
  [['--domain', 'Not A Domain'], /--domain .*example\.org/],
  [['--registration', 'closed'], /one of open, invite/],
  [['--data', ''], /--data .*folder/],
  [['--tls-cert', 'a.pem'], /give both/],
  [['--reset=no'], /'--reset'.*--help/],
])('%j is refused with a sentence', (args, sentence) => {
  expect(() => parseCommandLine(args)).toThrow(sentence);
});

test('every option is in the help', () => {
  expect(parseCommandLine(['--help'])).toBe('help');
  for (const option of ['listen', 'tls-cert', 'insecure', 'data', 'domain', 'reset', 'yes']) {
    expect(HELP).toContain(`--${option}`);
  }
});
