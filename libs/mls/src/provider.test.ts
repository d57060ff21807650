import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
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
import type { CryptoProvider } from 'ts-mls';
import { mlsProvider, SUITE_1 } from './provider.ts';
import { merge } from './public-group.ts';
import type { PublicGroup } from './public-group.ts';
import { addOf } from './testing-scene.ts';
import {
  deliver,
  foundGroup,
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

test('a suite that Roost does not run is refused', async () => {
  const provider = mlsProvider(nodeCrypto);
  const names = Object.keys(ciphersuites).filter((name) => name !== SUITE_1);
  const name = 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256';
  expect(names).toContain(name);
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
