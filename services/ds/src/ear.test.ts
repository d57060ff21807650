import { expect, test } from '@jest/globals';
import { GroupId, parseDomain, uuidOf } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import { Ear } from './ear.ts';

const home = parseDomain('hub.example');
const groupId = GroupId.of(uuidOf(nodeCrypto.random(16)), home);
const key = nodeCrypto.random(32);
const content = nodeCrypto.random(100);

test('what is sealed opens in its place, with its key, in its group, and nowhere else', () => {
  const ear = new Ear(nodeCrypto, groupId, key);
  const sealed = ear.seal({ kind: 'state', epoch: 4n }, content);
  expect(ear.open({ kind: 'state', epoch: 4n }, sealed)).toEqual(content);
  expect(ear.open({ kind: 'state', epoch: 5n }, sealed)).toBeUndefined();
  expect(ear.open({ kind: 'join-info', epoch: 4n }, sealed)).toBeUndefined();
  const other = new Ear(nodeCrypto, groupId, nodeCrypto.random(32));
  expect(other.open({ kind: 'state', epoch: 4n }, sealed)).toBeUndefined();
  const elsewhere = GroupId.of(uuidOf(nodeCrypto.random(16)), home);
  const moved = new Ear(nodeCrypto, elsewhere, key);
  expect(moved.open({ kind: 'state', epoch: 4n }, sealed)).toBeUndefined();
});

test('sizes tell little: a roster of one is as long as one of two', () => {
  const ear = new Ear(nodeCrypto, groupId, key);
  const size = (bytes: number) =>
    ear.seal({ kind: 'roster', version: 1n }, new Uint8Array(bytes)).length;
  expect(size(2 * 220)).toBe(size(220));
  expect(size(3 * 220)).toBe(size(9 * 220));
});

test('a key that is not 32 bytes long is refused', () => {
  expect(() => new Ear(nodeCrypto, groupId, key.subarray(1))).toThrow('ear_key');
});
