import { expect, test } from '@jest/globals';
import { GroupId, uuidOf } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import fc from 'fast-check';

import { authorityOf, clientOf, home, now } from './actors.fixture.ts';
import { issueNameBinding } from './credentials.ts';
import { openLinkKey, sealLinkKey } from './friendship.ts';
import { openJoinerInfo, sealJoinerInfo, verifyAttribution } from './joining.ts';
import {
  decodeAddedLeaf,
  decodeCommitAad,
  decodeLeafIdentity,
  encodeAddedLeaf,
  encodeCommitAad,
  makeLeafIdentity,
  openLink,
  participantIdOf,
  unwrapLinkKey,
  verifyLink,
  wrapLinkKey,
} from './leaf.ts';
import { damaged, forging, relabelling } from './tampering.fixture.ts';

const domain = authorityOf();
const alice = clientOf(domain);
const bob = clientOf(domain, 'bob');
const { authority } = domain;
const [leafKey, linkKey] = [crypto.random(32), crypto.random(32)];
const asOf = { authority, nowMs: now };
const refusal = expect.objectContaining({ name: 'Failure' });
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });

test('a leaf links to its client for who has its link key, and shows nothing of it to others', () => {
  const encoded = makeLeafIdentity(crypto, alice, leafKey, linkKey);
  const link = openLink(crypto, decodeLeafIdentity(encoded), leafKey, linkKey);
  const linked = verifyLink(crypto, link, leafKey, asOf);
  expect(linked).toMatchObject({
    credential: { clientId: alice.clientId },
    binding: { userName: { name: 'alice' } },
    standing: 'valid',
  });
  const text = Buffer.from(encoded).toString('latin1');
  expect(text).not.toContain('alice');
  expect(text).not.toContain('roost.example');
});

test('two leaves of one client have nothing in common, not even their length', () => {
  const one = makeLeafIdentity(crypto, alice, leafKey, linkKey);
  const two = makeLeafIdentity(crypto, bob, crypto.random(32), crypto.random(32));
  expect(decodeLeafIdentity(one).pseudonym).not.toEqual(decodeLeafIdentity(two).pseudonym);
  expect(one.length).toBe(two.length);
});

test('a link opens for no other leaf and with no other key', () => {
  const identity = decodeLeafIdentity(makeLeafIdentity(crypto, alice, leafKey, linkKey));
  expect(() => openLink(crypto, identity, crypto.random(32), linkKey)).toThrow(refusal);
  expect(() => openLink(crypto, identity, leafKey, crypto.random(32))).toThrow(refusal);
});

test('a link that was signed for another leaf, under another label or by another key is refused', () => {
  const link = openLink(
    crypto,
    decodeLeafIdentity(makeLeafIdentity(crypto, alice, leafKey, linkKey)),
    leafKey,
    linkKey,
  );
  expect(() => verifyLink(crypto, link, crypto.random(32), asOf)).toThrow(refusal);
  for (const dishonest of [relabelling('IdentityLink'), forging('IdentityLink')]) {
    const identity = decodeLeafIdentity(makeLeafIdentity(dishonest, alice, leafKey, linkKey));
    const made = openLink(crypto, identity, leafKey, linkKey);
    expect(() => verifyLink(crypto, made, leafKey, asOf)).toThrow(refusal);
  }
});

test('a name of another user does not go with a credential', () => {
  const mixed = { ...alice, nameBinding: bob.nameBinding };
  const identity = decodeLeafIdentity(makeLeafIdentity(crypto, mixed, leafKey, linkKey));
  const link = openLink(crypto, identity, leafKey, linkKey);
  expect(() => verifyLink(crypto, link, leafKey, asOf)).toThrow('of another user');
});

test('a link whose name has expired has expired', () => {
  const nameBinding = issueNameBinding(crypto, domain.issuer, {
    userName: { name: 'alice', domain: home },
    userId: alice.clientId.user,
    notBefore: now,
    notAfter: now + DAY_MS,
  });
  const made = makeLeafIdentity(crypto, { ...alice, nameBinding }, leafKey, linkKey);
  const identity = decodeLeafIdentity(made);
  const link = openLink(crypto, identity, leafKey, linkKey);
  const later = { authority, nowMs: now + 2 * DAY_MS };
  expect(verifyLink(crypto, link, leafKey, later).standing).toBe('expired');
});

test('every changed bit of a leaf identity is refused, but for the pseudonym, which the leaf signs', () => {
  const encoded = makeLeafIdentity(crypto, alice, leafKey, linkKey);
  let at = 0;
  for (const changed of damaged(encoded)) {
    const isPseudonym = at >= 2 && at < 18;
    at++;
    const open = () => openLink(crypto, decodeLeafIdentity(changed), leafKey, linkKey);
    if (isPseudonym) expect(open).not.toThrow();
    else expect(open).toThrow(refusal);
  }
});

test('a link key is wrapped for one leaf under one key', () => {
  const wrapper = crypto.random(32);
  const wrapped = wrapLinkKey(crypto, wrapper, leafKey, linkKey);
  expect(unwrapLinkKey(crypto, wrapper, leafKey, wrapped)).toEqual(linkKey);
  expect(() => unwrapLinkKey(crypto, crypto.random(32), leafKey, wrapped)).toThrow(refusal);
  expect(() => unwrapLinkKey(crypto, wrapper, crypto.random(32), wrapped)).toThrow(refusal);
});

test('a participant is the same for all clients of a user in a group, and in no other group', () => {
  const [one, two] = [crypto.random(32), crypto.random(32)];
  const { user } = alice.clientId;
  const id = participantIdOf(crypto, one, user);
  expect(id).toHaveLength(16);
  expect(participantIdOf(crypto, one, { ...user })).toEqual(id);
  expect(participantIdOf(crypto, two, user)).not.toEqual(id);
  expect(participantIdOf(crypto, one, bob.clientId.user)).not.toEqual(id);
});

const leaf = fc.record({
  leafSignatureKey: bytes(32),
  participantId: bytes(16),
  wrappedLinkKey: fc.uint8Array({ maxLength: 60 }),
});

test('the authenticated data of a commit comes back as it was', () => {
  const leaves = fc.uniqueArray(leaf, {
    maxLength: 20,
    selector: ({ leafSignatureKey }) => leafSignatureKey.join(),
  });
  fc.assert(
    fc.property(leaves, (added) => {
      const decoded = decodeCommitAad(encodeCommitAad({ added }));
      expect(decoded.added.map(plain)).toEqual(added.map(plain));
      for (const each of added) {
        expect(plain(decodeAddedLeaf(encodeAddedLeaf(each)))).toEqual(plain(each));
      }
    }),
  );
});

function plain(added: ReturnType<typeof decodeAddedLeaf>) {
  return Object.values(added).map((each) => Array.from(each));
}

test('a commit that declares a leaf twice is refused', () => {
  const [one] = fc.sample(leaf, 1);
  if (one === undefined) throw new Error('no sample');
  const twice = encodeCommitAad({ added: [one, one] });
  expect(() => decodeCommitAad(twice)).toThrow('declared twice');
});

test('arbitrary bytes are malformed everywhere', () => {
  const readers = [decodeCommitAad, decodeAddedLeaf, decodeLeafIdentity];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 99 }), fc.constantFrom(...readers), (input, read) => {
      fc.pre(input.length < 3 || input[0] !== 0 || input[1] !== 1);
      expect(() => read(input)).toThrow(expect.objectContaining({ reason: 'MALFORMED' }));
    }),
  );
});

test('a link key is sealed for friends, and for one KeyPackage', () => {
  const [friendshipKey, ref] = [crypto.random(32), crypto.random(32)];
  const sealed = sealLinkKey(crypto, friendshipKey, ref, linkKey);
  expect(openLinkKey(crypto, friendshipKey, ref, sealed)).toEqual(linkKey);
  expect(() => openLinkKey(crypto, crypto.random(32), ref, sealed)).toThrow(refusal);
  expect(() => openLinkKey(crypto, friendshipKey, crypto.random(32), sealed)).toThrow(refusal);
});

const init = crypto.x25519.generate();
const info = {
  groupId: GroupId.of(uuidOf(crypto.random(16)), home),
  epoch: 2n ** 40n,
  earKey: crypto.random(32),
  linkWrapperKey: crypto.random(32),
  participantKey: crypto.random(32),
  clientCredential: alice.clientCredential,
  nameBinding: alice.nameBinding,
};
const welcomed = { keyPackageRef: crypto.random(32), welcome: crypto.random(500) };
const adder = { initKey: init.publicKey, privateKey: alice.privateKey };

test('joiner info opens for its KeyPackage alone, and the adder answers for this very Welcome', () => {
  const sealed = sealJoinerInfo(crypto, adder, info, welcomed);
  const { keyPackageRef } = welcomed;
  const opened = openJoinerInfo(crypto, init.privateKey, keyPackageRef, sealed);
  expect(opened).toMatchObject(info);
  const holds = (over: object, of = welcomed, key = alice.key.publicKey) =>
    verifyAttribution(crypto, key, { ...opened, ...over }, of);
  expect(holds({})).toBe(true);
  expect(holds({ epoch: 3n })).toBe(false);
  expect(holds({ groupId: GroupId.of(uuidOf(crypto.random(16)), home) })).toBe(false);
  expect(holds({}, { ...welcomed, welcome: crypto.random(500) })).toBe(false);
  expect(holds({}, { ...welcomed, keyPackageRef: crypto.random(32) })).toBe(false);
  expect(holds({}, welcomed, bob.key.publicKey)).toBe(false);

  const other = crypto.x25519.generate().privateKey;
  expect(() => openJoinerInfo(crypto, other, keyPackageRef, sealed)).toThrow(refusal);
  expect(() => openJoinerInfo(crypto, init.privateKey, leafKey, sealed)).toThrow(refusal);
});

test('an attribution under another label does not hold', () => {
  const sealed = sealJoinerInfo(relabelling('WelcomeAttribution'), adder, info, welcomed);
  const opened = openJoinerInfo(crypto, init.privateKey, welcomed.keyPackageRef, sealed);
  expect(verifyAttribution(crypto, alice.key.publicKey, opened, welcomed)).toBe(false);
});
