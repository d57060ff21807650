import { expect, test } from '@jest/globals';

import { isAllowedAddress, type Network, parseAddress, parseNetwork } from './address.ts';

test.each([
  ...['1.1.1.1', '8.8.8.8', '172.15.255.255', '172.32.0.1', '100.128.0.1', '223.255.255.255'],
  ...['2606:4700::1111', '2a00::1', '2001:200::1', '2400::ffff:ffff', '2A00:0:0:0:0:0:0:1'],
  // They stand for addresses that may be connected to.
  ...['::ffff:1.1.1.1', '64:ff9b::1.1.1.1', '64:ff9b::808:808'],
])('%s is of the public internet', (address) => {
  expect(isAllowedAddress(address)).toBe(true);
});

test.each([
  ...['127.0.0.1', '127.255.255.254', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  ...['169.254.169.254', '0.0.0.0', '0.1.2.3', '100.64.0.1', '224.0.0.1', '255.255.255.255'],
  ...['198.18.0.1', '192.0.0.8', '192.0.2.1', '198.51.100.1', '203.0.113.1', '192.88.99.1'],
  ...['::', '::1', '0:0:0:0:0:0:0:1', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'fc00::1', 'fd12::1'],
  ...['fd00:ec2::254', 'ff02::1', '100::1', '5f00::1', '2001:db8::1', '3fff::1', '3ffe::1'],
  // IPv4 in all the forms that IPv6 has for it: mapped, compatible, translated, 6to4, Teredo, NAT64.
  ...['::ffff:10.0.0.1', '::FFFF:7f00:1', '::ffff:a00:1', '0:0:0:0:0:ffff:169.254.169.254'],
  ...['::10.0.0.1', '::7f00:1', '::1.1.1.1', '::ffff:0:10.0.0.1', '2002:a00::', '2002:0a00:1::'],
  ...['2002:7f00:1::', '2001::1', '2001:0:7f00:1::', '64:ff9b::a00:1', '64:ff9b::127.0.0.1'],
  ...['64:ff9b::a9fe:a9fe', '64:ff9b:1::a00:1', '64:ff9b:1::1.1.1.1'],
])('%s is not', (address) => {
  expect(isAllowedAddress(address)).toBe(false);
});

test.each([
  ...['', 'localhost', 'a.example', '127.1', '1', '2130706433', '0x7f.0.0.1', '0x7f000001'],
  ...[
    '0177.0.0.1',
    '010.8.8.8',
    '8.8.8.8.',
    '8.8.8',
    '8.8.8.8.8',
    '256.1.1.1',
    '8.8.8.-8',
    ' 8.8.8.8',
  ],
  ...[
    '[2a00::1]',
    '2a00::1%1',
    '2a00:::1',
    '2a00::1::2',
    '2a00:1:2:3:4:5:6:7:8',
    '2a00:1:2:3:4:5:6',
  ],
  ...[
    '2a00::g',
    '2a00::12345',
    ':2a00::1',
    '2a00::1:',
    '1:2:3:4:5:6:7::8',
    '2a00::1.1.1',
    '2a00::8.8.8.8:1',
  ],
  ...['::ffff:0x7f.0.0.1', '::ffff:08.8.8.8', '2a00:1.1.1.1::'],
])('%s is no address', (text) => {
  expect(parseAddress(text)).toBeUndefined();
  expect(isAllowedAddress(text)).toBe(false);
});

test('what the operator allows besides is allowed in every form, and nothing next to it', () => {
  const allowed = ['10.1.0.0/16', 'fd00:1::/32', '127.0.0.2/32'].map(parseNetwork) as Network[];
  const may = (address: string) => isAllowedAddress(address, allowed);
  expect(['10.1.2.3', '::ffff:10.1.2.3', 'fd00:1::1', '127.0.0.2', '1.1.1.1'].map(may)).toEqual(
    Array(5).fill(true),
  );
  expect(['10.2.0.0', '127.0.0.1', 'fd00:2::1', '::10.1.2.3', '2002:a01:203::'].map(may)).toEqual(
    Array(5).fill(false),
  );
});

test.each([
  '10.0.0.0',
  '10.0.0.0/',
  '10.0.0.0/33',
  '10.0.0.1/8',
  '10.0.0.0/08',
  '10/8',
  'fd00::/129',
])('%s is no network', (text) => {
  expect(parseNetwork(text)).toBeUndefined();
});

test('a network may be everything', () => {
  const all = [parseNetwork('0.0.0.0/0')] as Network[];
  expect([isAllowedAddress('127.0.0.1', all), isAllowedAddress('::1', all)]).toEqual([true, false]);
});
