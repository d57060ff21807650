import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { GroupId, uuidOf } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import fc from 'fast-check';

import { authorityOf, clientOf, home, now } from './actors.fixture.ts';
import {
  makeConnectionAnswer,
  makeConnectionPackage,
  makeConnectionRequest,
  readConnectionAnswer,
  readConnectionPackage,
  readConnectionRequest,
  verifyConnectionAnswer,
  verifyConnectionPackage,
  verifyConnectionRequest,
} from './connection.ts';
import { hashSections, openSection, sealSection } from './direct-section.ts';
import { damaged, forging, relabelling } from './tampering.fixture.ts';

const domain = authorityOf();
const [alice, bob] = [clientOf(domain), clientOf(domain, 'bob')];
const { authority } = domain;
const hpke = crypto.x25519.generate();
const refusal = expect.objectContaining({ name: 'Failure' });

const packageOf = (client: typeof alice, notAfter = now + 30 * DAY_MS) => ({
  hpkeKey: hpke.publicKey,
  notAfter,
  clientCredential: client.clientCredential,
});
const bobsPackage = makeConnectionPackage(crypto, bob.privateKey, packageOf(bob));
const groupId = GroupId.of(uuidOf(crypto.random(16)), home);

const request = {
  clientCredential: alice.clientCredential,
  nameBinding: alice.nameBinding,
  replyPackage: makeConnectionPackage(crypto, alice.privateKey, packageOf(alice)),
  groupId,
  earKey: crypto.random(32),
  linkWrapperKey: crypto.random(32),
  participantKey: crypto.random(32),
  joinSecret: crypto.random(32),
  createdMs: now,
  sectionsHash: crypto.random(32),
};
const toBob = { target: bob.clientId.user, connectionPackage: bobsPackage };

test('a connection package verifies up to the root, and ends with its own time or its credential', () => {
  const verify = (bytes: Uint8Array, nowMs = now) =>
    verifyConnectionPackage(crypto, bytes, authority, nowMs);
  expect(verify(bobsPackage)).toMatchObject({
    ...packageOf(bob),
    credential: { clientId: bob.clientId },
    standing: 'valid',
  });
  expect(verify(bobsPackage, now + 31 * DAY_MS).standing).toBe('expired');
  const long = makeConnectionPackage(crypto, bob.privateKey, packageOf(bob, now + 900 * DAY_MS));
  expect(verify(long, now + 91 * DAY_MS).standing).toBe('expired');
});

test('a connection package that its client did not sign as one is refused', () => {
  for (const dishonest of [relabelling('ConnectionPackage'), forging('ConnectionPackage')]) {
    const made = makeConnectionPackage(dishonest, bob.privateKey, packageOf(bob));
    expect(() => readConnectionPackage(crypto, made)).toThrow(refusal);
  }
  for (const changed of damaged(bobsPackage)) {
    expect(() => verifyConnectionPackage(crypto, changed, authority, now)).toThrow(refusal);
  }
});

test('a request holds for its target, its package and its maker alone', () => {
  const read = readConnectionRequest(
    makeConnectionRequest(crypto, alice.privateKey, request, toBob),
  );
  expect(read.value).toEqual(request);
  const holds = (to = toBob, key = alice.key.publicKey) =>
    verifyConnectionRequest(crypto, key, read, to);
  expect(holds()).toBe(true);
  expect(holds({ ...toBob, target: alice.clientId.user })).toBe(false);
  expect(holds({ ...toBob, connectionPackage: request.replyPackage })).toBe(false);
  expect(holds(toBob, bob.key.publicKey)).toBe(false);
});

test('an answer holds for its target, its package and its maker alone', () => {
  const answer = {
    isAccepted: true,
    groupId,
    createdMs: now,
    clientCredential: bob.clientCredential,
  };
  const toAlice = { target: alice.clientId.user, connectionPackage: request.replyPackage };
  for (const isAccepted of [true, false]) {
    const made = makeConnectionAnswer(crypto, bob.privateKey, { ...answer, isAccepted }, toAlice);
    const read = readConnectionAnswer(made);
    expect(read.value).toEqual({ ...answer, isAccepted });
    expect(verifyConnectionAnswer(crypto, bob.key.publicKey, read, toAlice)).toBe(true);
    expect(verifyConnectionAnswer(crypto, bob.key.publicKey, read, toBob)).toBe(false);
    expect(verifyConnectionAnswer(crypto, alice.key.publicKey, read, toAlice)).toBe(false);
  }
});

test('no signature of one stands for the other, and every changed bit is noticed', () => {
  const made = makeConnectionRequest(
    relabelling('ConnectionRequest'),
    alice.privateKey,
    request,
    toBob,
  );
  const { publicKey } = alice.key;
  expect(verifyConnectionRequest(crypto, publicKey, readConnectionRequest(made), toBob)).toBe(
    false,
  );

  const good = makeConnectionRequest(crypto, alice.privateKey, request, toBob);
  for (const changed of damaged(good)) {
    let holds = false;
    try {
      holds = verifyConnectionRequest(crypto, publicKey, readConnectionRequest(changed), toBob);
    } catch (error) {
      expect(error).toEqual(refusal);
    }
    expect(holds).toBe(false);
  }
});

test('a section opens for its type, client and key alone, and hides its length', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 600 }),
      fc.integer({ min: 1, max: 8 }),
      (plaintext, type) => {
        const sealed = sealSection(crypto, hpke.publicKey, bob.clientId, { type, plaintext });
        expect((sealed.length - 48) % 256).toBe(0);
        const open = (over: { type?: number } = {}, to = bob.clientId, key = hpke.privateKey) =>
          openSection(crypto, key, to, { type, sealed, ...over });
        expect(Buffer.compare(open(), plaintext)).toBe(0);
        expect(() => open({ type: type + 1 })).toThrow(refusal);
        expect(() => open({}, alice.clientId)).toThrow(refusal);
        expect(() => open({}, bob.clientId, crypto.x25519.generate().privateKey)).toThrow(refusal);
      },
    ),
    { numRuns: 20 },
  );
});

test('the hash of the sections notices another content, type, order or number', () => {
  const [one, two] = [
    { type: 3, plaintext: utf8('hello') },
    { type: 4, plaintext: utf8('away') },
  ];
  const of = (...sections: (typeof one)[]) =>
    Buffer.from(hashSections(crypto, sections)).toString('hex');
  const hashes = [
    of(one, two),
    of(two, one),
    of(one),
    of(),
    of({ ...one, type: 4 }, two),
    of(one, one),
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
});
