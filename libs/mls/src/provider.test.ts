import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { webCrypto } from '@roost/crypto/web';
import {
  ciphersuites,
  createApplicationMessage,
  defaultCryptoProvider,
  emptyPskIndex,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  nobleCryptoProvider,
  processPrivateMessage,
} from 'ts-mls';
import type { CiphersuiteName, CryptoProvider } from 'ts-mls';
import { validateKeyPackage } from './key-package.ts';
import { ALGORITHMS, ciphersuiteOf, mlsProvider, SUITE_1 } from './provider.ts';
import { merge } from './public-group.ts';
import type { PublicGroup } from './public-group.ts';
import { decodePublicGroup, encodePublicGroup } from './stored.ts';
import { allowSuites } from './suite.ts';
import { addOf } from './testing-scene.ts';
import {
  deliver,
  foundGroup,
  keyPackageTls,
  makeCommit,
  makeExternalCommit,
  newActor,
  stateOf,
} from './testing.ts';
import type { Actor } from './testing.ts';
import { stage } from './testing.ts';

const suite = getCiphersuiteFromName(SUITE_1);

const others: [string, CryptoProvider][] = [
  ['WebCrypto by ts-mls', defaultCryptoProvider],
  ['noble by ts-mls', nobleCryptoProvider],
  ['our own in a browser', mlsProvider(webCrypto)],
];

test.each(others)('members by our provider and by %s understand each other', async (_, other) => {
  const ours = await actorBy(mlsProvider(nodeCrypto), 'ours');
  const theirs = await actorBy(other, 'theirs');
  const guest = await actorBy(other, 'guest');
  const members = [ours, theirs];
  let group: PublicGroup = await foundGroup(nodeCrypto, ours, utf8('group'));
  const added = { members, added: [theirs] };

  group = await deliver(group, await makeCommit(ours, [addOf(theirs)]), ours, {
    ...added,
    members: [ours],
  });
  group = await deliver(group, await makeCommit(theirs), theirs, { members });
  group = await deliver(group, await makeCommit(ours), ours, { members });
  group = await deliver(group, await makeExternalCommit(guest, group), guest, { members });

  expect(stateOf(theirs).keySchedule).toEqual(stateOf(ours).keySchedule);
  expect(stateOf(guest).keySchedule).toEqual(stateOf(ours).keySchedule);
  await expectHeard(ours, theirs);
  await expectHeard(theirs, ours);
  expect(merge(stage(group, await makeCommit(guest))).context.epoch).toBe(5n);
});

const suiteNames = [...ALGORITHMS.keys()];

test.each(suiteNames)('members by our provider and by ts-mls form a group of %s', async (name) => {
  const ciphersuite = getCiphersuiteFromName(name);
  const suiteBy = (provider: CryptoProvider) => getCiphersuiteImpl(ciphersuite, provider);
  const actor = async (who: string, provider: CryptoProvider) =>
    newActor(nodeCrypto, who, { suite: await suiteBy(provider) });
  const ours = await actor('ours', mlsProvider(nodeCrypto));
  const theirs = await actor('theirs', withOurKeys(nobleCryptoProvider));
  const guest = await actor('guest', mlsProvider(webCrypto));
  const members = [ours, theirs];
  let group: PublicGroup = await foundGroup(nodeCrypto, ours, utf8('group'));
  expect(group.context.cipherSuite).toBe(name);

  const added = { members: [ours], added: [theirs] };
  group = await deliver(group, await makeCommit(ours, [addOf(theirs)]), ours, added);
  group = await deliver(group, await makeCommit(theirs), theirs, { members });
  group = decodePublicGroup(nodeCrypto, encodePublicGroup(group));
  group = await deliver(group, await makeExternalCommit(guest, group), guest, { members });

  expect(stateOf(theirs).keySchedule).toEqual(stateOf(ours).keySchedule);
  expect(stateOf(guest).keySchedule).toEqual(stateOf(ours).keySchedule);
  expect(toHex(stateOf(guest).groupContext.treeHash)).toBe(toHex(group.context.treeHash));
});

test('a group of a suite that is not allowed is refused, and its KeyPackages', async () => {
  const onlySome = allowSuites(nodeCrypto, [1, 3]);
  const founderOf = async (name: CiphersuiteName) =>
    newActor(nodeCrypto, 'founder', { suite: ciphersuiteOf(nodeCrypto, name) });
  for (const [name, { number }] of ALGORITHMS) {
    const founder = await founderOf(name);
    const now = Date.now();
    const refused = { reason: 'INVALID_MLS', message: expect.stringContaining('§17.1') };
    const founded = foundGroup(onlySome, founder, utf8('group'));
    if (number === 2) {
      await expect(founded).rejects.toMatchObject(refused);
      expect(() => validateKeyPackage(onlySome, keyPackageTls(founder), now)).toThrow('§17.1');
    } else {
      expect((await founded).context.cipherSuite).toBe(name);
      expect(validateKeyPackage(onlySome, keyPackageTls(founder), now).isLastResort).toBe(false);
    }
  }
  expect(() => allowSuites(nodeCrypto, [1, 7])).toThrow('invariant broken');
});

test('a group stays readable when its suite is no longer taken', async () => {
  const founder = await newActor(nodeCrypto, 'founder');
  const group = await foundGroup(nodeCrypto, founder, utf8('group'));
  const snapshot = encodePublicGroup(group);
  const without = allowSuites(nodeCrypto, [3]);
  expect(decodePublicGroup(without, snapshot).contextTls).toEqual(group.contextTls);
  await expect(foundGroup(without, founder, utf8('group'))).rejects.toThrow('§17.1');
});

test('a suite that this library does not run is refused', async () => {
  const provider = mlsProvider(nodeCrypto);
  const unknown = Object.keys(ciphersuites).filter(
    (name) => !suiteNames.some((own) => own === name),
  );
  expect(unknown).toHaveLength(16);
  const name = 'MLS_256_DHKEMP384_AES256GCM_SHA384_P384';
  await expect(provider.getCiphersuiteImpl(getCiphersuiteFromName(name))).rejects.toMatchObject({
    reason: 'INVALID_MLS',
  });
});

test('a ciphertext that was changed does not open', async () => {
  const { hpke } = await getCiphersuiteImpl(suite, mlsProvider(nodeCrypto));
  const { publicKey, privateKey } = await hpke.generateKeyPair();
  const info = utf8('info');
  const { ct, enc } = await hpke.seal(publicKey, utf8('secret'), info);

  expect(await hpke.open(privateKey, enc, ct, info)).toEqual(utf8('secret'));
  await expect(hpke.open(privateKey, enc, ct.with(0, (ct[0] ?? 0) ^ 1), info)).rejects.toThrow();
  await expect(hpke.open(privateKey, enc, ct, utf8('other'))).rejects.toThrow();
});

/** ts-mls makes P-256 signature keys as compressed points, which RFC 9420 §5.1.1 does not have. */
function withOurKeys(provider: CryptoProvider): CryptoProvider {
  return {
    async getCiphersuiteImpl(ciphersuite) {
      const theirs = await provider.getCiphersuiteImpl(ciphersuite);
      const { keygen } = ciphersuiteOf(nodeCrypto, ciphersuite.name).signature;
      return { ...theirs, signature: { ...theirs.signature, keygen } };
    },
  };
}

async function actorBy(provider: CryptoProvider, name: string): Promise<Actor> {
  return newActor(nodeCrypto, name, { suite: await getCiphersuiteImpl(suite, provider) });
}

async function expectHeard(speaker: Actor, listener: Actor): Promise<void> {
  const said = utf8('hello');
  const made = await createApplicationMessage(stateOf(speaker), said, speaker.suite);
  const heard = await processPrivateMessage(
    stateOf(listener),
    made.privateMessage,
    emptyPskIndex,
    listener.suite,
  );
  expect(heard).toMatchObject({ kind: 'applicationMessage', message: said });
}
