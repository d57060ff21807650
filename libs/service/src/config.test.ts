import { expect, test } from '@jest/globals';
import { z } from 'zod';
import {
  homeDomain,
  integer,
  listenAddress,
  parseListenAddress,
  path,
  readEnvironment,
} from './config.ts';
import { addresses } from './process-config.ts';

const schema = z.object({
  ROOST_DOMAIN: homeDomain,
  ROOST_LISTEN: listenAddress.default({ host: '127.0.0.1', port: 7680 }),
  CONNECTIONS_MAX: integer(1, 100).default(10),
});

test('variables become values, and an empty one counts as not set', () => {
  const environment = {
    ROOST_DOMAIN: 'example.org',
    ROOST_LISTEN: '',
    CONNECTIONS_MAX: '7',
    X: '1',
  };
  expect(readEnvironment(schema, environment)).toEqual({
    ROOST_DOMAIN: 'example.org',
    ROOST_LISTEN: { host: '127.0.0.1', port: 7680 },
    CONNECTIONS_MAX: 7,
  });
});

test('each wrong variable is told in a sentence with the remedy, without its value', () => {
  const environment = { ROOST_LISTEN: 'secret', CONNECTIONS_MAX: '1000' };
  expect(() => readEnvironment(schema, environment)).toThrow(
    [
      'ROOST_DOMAIN is not set: give a domain name without a port, such as example.org.',
      'ROOST_LISTEN is wrong: give host:port, such as 127.0.0.1:7680 or [::1]:7680.',
      'CONNECTIONS_MAX is wrong: give a whole number from 1 to 100.',
    ].join('\n'),
  );
});

test('addresses to listen on have a host and a port', () => {
  expect(parseListenAddress('[::1]:80')).toEqual({ host: '::1', port: 80 });
  expect(parseListenAddress('0.0.0.0:0')).toEqual({ host: '0.0.0.0', port: 0 });
  for (const text of ['', '7680', ':7680', 'a:b', 'a:70000', '::1:80', 'a b:1', 'a:-1', 'a:1:2']) {
    expect(parseListenAddress(text)).toBeUndefined();
  }
});

test('every file that cannot be read is told, with all else that is wrong', () => {
  const three = z.object({ ROOST_A: path, ROOST_B: path, ROOST_C: integer(1, 2) });
  const given = { ROOST_A_FILE: '/nowhere/a', ROOST_B_FILE: '/nowhere/b', ROOST_C: '3' };
  expect(() => readEnvironment(three, given)).toThrow(
    /^ROOST_A_FILE: \/nowhere\/a cannot be read \(ENOENT\)\.\nROOST_B_FILE: .*\nROOST_C is wrong: .*\.$/,
  );
});

test('another service is at one name, or at several addresses of one kind', () => {
  const parsed = (text: string) => addresses.safeParse(text).success;
  for (const good of ['as:7443', '10.0.0.1:1', '10.0.0.1:1, 10.0.0.2:1', '[::1]:1,[::2]:1']) {
    expect([good, parsed(good)]).toEqual([good, true]);
  }
  for (const bad of ['as', 'as:1,as:2', '10.0.0.1:1,[::1]:1', '', 'as:99999', '10.0.0.1:1,']) {
    expect([bad, parsed(bad)]).toEqual([bad, false]);
  }
});
