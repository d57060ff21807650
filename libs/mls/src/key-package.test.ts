import { expect, test } from '@jest/globals';
import { concat, utf8 } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { decodeCapabilities, encodeCapabilities } from 'ts-mls/capabilities.js';
import { greaseCapabilities } from 'ts-mls/grease.js';
import { signKeyPackage } from 'ts-mls/keyPackage.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { signLeafNodeKeyPackage } from 'ts-mls/leafNode.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import { EXTENSION } from './extensions.ts';
import { identityOf, keyPackageRef, validateKeyPackage } from './key-package.ts';
import { decodeStrict } from './message.ts';
import { citing, failureOf } from './testing-scene.ts';
import { keyPackageTls, newActor } from './testing.ts';

const now = Date.now();
const GREASE = 0x0a0a;

test('a good KeyPackage says what services ask of it', async () => {
  const queueConfig = utf8('config');
  const actor = await newActor(nodeCrypto, 'ada', {
    keyPackageExtensions: [
      { extensionType: EXTENSION.queueConfig, extensionData: queueConfig },
      { extensionType: EXTENSION.lastResort, extensionData: new Uint8Array(0) },
    ],
  });
  const tls = keyPackageTls(actor);
  const { initKey, leafNode } = actor.keyPackage;

  const valid = validateKeyPackage(nodeCrypto, tls, now);

  expect(valid).toMatchObject({ initKey, queueConfig, isLastResort: true, identity: utf8('ada') });
  expect(valid.signatureKey).toEqual(leafNode.signaturePublicKey);
  expect(valid.ref).toEqual(await makeKeyPackageRef(actor.keyPackage, actor.suite.hash));
  expect(keyPackageRef(nodeCrypto, tls)).toEqual(valid.ref);
  expect(Math.abs(valid.notAfterMs - (now + 30 * DAY_MS))).toBeLessThan(60_000);
});

test('one without the extensions is no last resort and has no queue', async () => {
  const valid = validateKeyPackage(
    nodeCrypto,
    keyPackageTls(await newActor(nodeCrypto, 'ada')),
    now,
  );
  expect(valid).toMatchObject({ isLastResort: false, queueConfig: undefined });
});

test('§13.5: one that lists values which mean nothing, as GREASE wants, is good', async () => {
  const { keyPackage, privateKeys, suite } = await newActor(nodeCrypto, 'ada');
  const key = privateKeys.signaturePrivateKey;
  const { leafNode } = keyPackage;
  const always = { probabilityPerGreaseValue: 1 };
  const greater = encodeCapabilities(greaseCapabilities(always, leafNode.capabilities));
  // The list of versions is [1]; a version that is still to come is put beside it.
  const tls = concat(Uint8Array.of(4, 0, 1, 0, 2), greater.subarray(3));
  const capabilities = decodeStrict(tls, 'capabilities', decodeCapabilities, encodeCapabilities);
  const nothing = { extensionType: GREASE, extensionData: utf8('anything') };
  const greased = await signLeafNodeKeyPackage(
    { ...leafNode, capabilities, extensions: [nothing] },
    key,
    suite.signature,
  );
  const forged = { ...keyPackage, leafNode: greased, extensions: [nothing] };
  const signed = await signKeyPackage(forged, key, suite.signature);

  const valid = validateKeyPackage(nodeCrypto, messageOf(signed), now);

  expect(valid.keyPackage.leafNode.capabilities.extensions).toContain(GREASE);
  expect(capabilities.ciphersuites.length).toBeGreaterThan(10);
  expect(capabilities.versions).toHaveLength(2);
});

test('§7.2: it is good only within its lifetime', async () => {
  const tls = keyPackageTls(await newActor(nodeCrypto, 'ada'));

  for (const when of [now - DAY_MS, now + 31 * DAY_MS]) {
    expect(failureOf(() => validateKeyPackage(nodeCrypto, tls, when)).message).toContain(
      citing('§7.2'),
    );
  }
});

test.each<[rule: string, what: string, change: (keyPackage: KeyPackage) => Partial<KeyPackage>]>([
  ['§10.1', 'the same init and encryption key', (it) => ({ initKey: it.leafNode.hpkePublicKey })],
  ['§5.1', 'a short init key', () => ({ initKey: utf8('short') })],
  ['§17.1', 'a suite that we do not run', () => ({ cipherSuite: OTHER_SUITE })],
  ['§10', 'an extension twice', () => ({ extensions: [lastResort, lastResort] })],
  ['§7.3', 'a leaf of another', (it) => ({ leafNode: { ...it.leafNode, signature: utf8('') } })],
])('%s: one with %s is refused', async (rule, _, change) => {
  const { keyPackage, privateKeys, suite } = await newActor(nodeCrypto, 'ada');
  const forged = { ...keyPackage, ...change(keyPackage) };
  const signed = await signKeyPackage(forged, privateKeys.signaturePrivateKey, suite.signature);

  const failure = failureOf(() => validateKeyPackage(nodeCrypto, messageOf(signed), now));

  expect(failure.reason).toBe('INVALID_MLS');
  expect(failure.message).toContain(citing(rule));
});

test('§10.1: one whose extensions were exchanged under its signature is refused', async () => {
  const { keyPackage } = await newActor(nodeCrypto, 'ada');
  const forged = { ...keyPackage, extensions: [lastResort] };

  const failure = failureOf(() => validateKeyPackage(nodeCrypto, messageOf(forged), now));

  expect(failure.message).toContain('the signature of a KeyPackage');
});

test('§5.3: the identity is that of a basic credential', async () => {
  const { leafNode } = (await newActor(nodeCrypto, 'ada')).keyPackage;
  const credential = { credentialType: 'x509', certificates: [] } as const;
  const x509 = { ...leafNode, credential: { ...credential, certificates: [] } };
  expect(failureOf(() => identityOf(x509)).message).toBe(
    'the credential is not a basic one (RFC 9420 §5.3)',
  );
});

const OTHER_SUITE = 'MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448';
const lastResort = { extensionType: EXTENSION.lastResort, extensionData: new Uint8Array(0) };

function messageOf(keyPackage: KeyPackage): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage });
}
