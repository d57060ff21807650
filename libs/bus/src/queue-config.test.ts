import { expect, test } from '@jest/globals';
import { GroupId, parseDomain } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import { bindingOf, decodeQueueConfig, encodeQueueConfig } from './queue-config.ts';

const handle = new Uint8Array(32).fill(1);
const config = { domain: parseDomain('a.example'), handle, pushKey: new Uint8Array(32).fill(2) };

test('a queue config comes back as it was, and nothing else is one', () => {
  const encoded = encodeQueueConfig(config);
  expect(decodeQueueConfig(encoded)).toEqual(config);
  for (let size = 0; size < encoded.length; size++) {
    expect(() => decodeQueueConfig(encoded.subarray(0, size))).toThrow('ClientQueueConfig');
  }
  expect(() => decodeQueueConfig(Uint8Array.of(...encoded, 0))).toThrow('1 bytes too many');
});

test('a handle is bound to the group and its hub', () => {
  const [a, b] = ['a.example', 'b.example'].map((domain) =>
    GroupId.fromText(`00112233-4455-4677-8899-aabbccddeeff@${domain}`, 'group'),
  ) as [GroupId, GroupId];
  expect(bindingOf(nodeCrypto, handle, a)).not.toEqual(bindingOf(nodeCrypto, handle, b));
  expect(bindingOf(nodeCrypto, config.pushKey, a)).not.toEqual(bindingOf(nodeCrypto, handle, a));
});
