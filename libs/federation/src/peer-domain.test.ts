import { expect, test } from '@jest/globals';

import { parseEndpoint, parsePeerDomain, printEndpoint } from './peer-domain.ts';

test.each([
  'a.example',
  'chat.b-c.example',
  'xn--bcher-kva.example',
  '1.example',
  'a.b.c.d.e.test',
])('%s is the domain of a homeserver', (text) => {
  expect(parsePeerDomain(text)).toBe(text);
});

test.each([
  ...['', 'localhost', 'a.localhost', 'a.localdomain', 'example', 'a.example.', '.a.example'],
  ...['A.example', 'a..example', '-a.example', 'a-.example', 'a_b.example', 'bücher.example'],
  ...['127.0.0.1', '1.2.3', 'a.1', 'a.0x7f', '0x7f.0x1', 'a.0x', '[::1]', '::1', '1.1.1.1.'],
  ...['a.example:443', 'u@a.example', 'a.example/x', 'a.example?x', 'a.example#', 'a%2eexample'],
  ...['ab--cd.example', 'xn--.example', 'a\0.example', 'a.example ', `${'a'.repeat(64)}.example`],
  ...[`${'a.'.repeat(124)}example`],
])('%s is not', (text) => {
  expect(() => parsePeerDomain(text)).toThrow(expect.objectContaining({ reason: 'MALFORMED' }));
});

test.each(['b.example:443', '192.0.2.1:8443', '[2001:db8::1]:8443'])(
  '%s is an endpoint',
  (text) => {
    expect(printEndpoint(parseEndpoint(text))).toBe(text);
  },
);

test.each([
  ...['b.example', 'b.example:0', 'b.example:65536', 'b.example:0443', ':443', '[b.example]:443'],
  ...['localhost:443', 'a.0x7f:443', '2001:db8::1:443', 'https://b.example:443', 'b.example:443/x'],
])('%s is not', (text) => {
  expect(() => parseEndpoint(text)).toThrow(expect.objectContaining({ reason: 'MALFORMED' }));
});
