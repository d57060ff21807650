import { expect, test } from '@jest/globals';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import {
  openRegistration,
  SEALED_REGISTRATION_BYTES,
  sealRegistration,
  unwrapRegistrationKey,
  WRAPPED_KEY_BYTES,
  wrapRegistrationKey,
} from './push.ts';

const [handle, pushKey, key] = [crypto.random(32), crypto.random(32), crypto.random(32)];
const registration = {
  endpoint: 'https://push.example/abc',
  p256dh: crypto.p256.generate().publicKey,
  auth: crypto.random(16),
};

test('a registration is opened by its key alone, and all are of one length', () => {
  const sealed = sealRegistration(crypto, key, registration);
  const long = { ...registration, endpoint: `https://push.example/${'x'.repeat(870)}` };
  expect(sealed).toHaveLength(SEALED_REGISTRATION_BYTES);
  expect(sealRegistration(crypto, key, long)).toHaveLength(SEALED_REGISTRATION_BYTES);
  expect(openRegistration(crypto, key, sealed)).toEqual(registration);
  expect(openRegistration(crypto, pushKey, sealed)).toBeUndefined();
  expect(openRegistration(crypto, key, sealed.slice(1))).toBeUndefined();
});

test('what cannot be kept is refused', () => {
  const seal = (change: object) => () =>
    sealRegistration(crypto, key, { ...registration, ...change });
  expect(seal({ auth: new Uint8Array(15) })).toThrow('push subscription');
  expect(seal({ p256dh: new Uint8Array(64) })).toThrow('push subscription');
  expect(seal({ endpoint: `https://${'x'.repeat(900)}` })).toThrow('push subscription');
});

test('its key is opened by the push key of the very handle that it was wrapped for', () => {
  const wrapped = wrapRegistrationKey(crypto, { handle, pushKey }, key);
  const handleHash = crypto.sha256(handle);
  expect(wrapped).toHaveLength(WRAPPED_KEY_BYTES);
  expect(unwrapRegistrationKey(crypto, { handleHash, pushKey }, wrapped)).toEqual(key);
  const others = [
    { handleHash: crypto.sha256(key), pushKey },
    { handleHash, pushKey: key },
  ];
  for (const other of others) {
    expect(unwrapRegistrationKey(crypto, other, wrapped)).toBeUndefined();
  }
});
