import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { ClientId, parseDomain, QsClientId, QsUserId, UserId, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import fc from 'fast-check';

import { assertFresh, makeProof, parseProof, type ProofKey, verifyProof } from './proof.ts';

const home = parseDomain('roost.example');
const uuid = (): ReturnType<typeof uuidOf> => uuidOf(crypto.random(16));
const user = UserId.of(uuid(), home);
const pair = crypto.ed25519.generate();
const binding = {
  method: '/roost.queue.v1.QueueService/Ack',
  audience: home,
  request: utf8('ack'),
};
const now = Date.UTC(2026, 10, 21);

const keys: readonly ProofKey[] = [
  { kind: 'client', client: ClientId.of(user, uuid()) },
  { kind: 'qs-user', qsUser: QsUserId.of(uuid(), home) },
  { kind: 'qs-client', qsClient: QsClientId.of(uuid(), home) },
  { kind: 'leaf', publicKey: pair.publicKey },
  { kind: 'new-key', publicKey: pair.publicKey },
];

function proofOf(key: ProofKey) {
  return makeProof(crypto, { key, privateKey: pair.privateKey }, binding, now);
}

test.each(keys.map((key) => [key.kind, key] as const))(
  'a proof of kind %s comes back as it was made, and holds',
  (_, key) => {
    const proof = parseProof(proofOf(key));
    expect(proof.key).toEqual(key);
    expect(proof.createdMs).toBe(now);
    expect(verifyProof(crypto, pair.publicKey, proof, binding)).toBe(true);
  },
);

test('a proof holds for no other method, audience, request or key', () => {
  const proof = parseProof(proofOf({ kind: 'leaf', publicKey: pair.publicKey }));
  const holds = (other: Partial<typeof binding>, key = pair.publicKey) =>
    verifyProof(crypto, key, proof, { ...binding, ...other });
  expect(holds({})).toBe(true);
  expect(holds({ method: '/roost.queue.v1.QueueService/Listen' })).toBe(false);
  expect(holds({ audience: parseDomain('other.example') })).toBe(false);
  expect(holds({ request: utf8('ack all') })).toBe(false);
  expect(holds({}, crypto.ed25519.generate().publicKey)).toBe(false);
});

test('a proof with another kind, time or nonce does not hold', () => {
  const proof = parseProof(proofOf({ kind: 'leaf', publicKey: pair.publicKey }));
  const holds = (other: Partial<typeof proof>) =>
    verifyProof(crypto, pair.publicKey, { ...proof, ...other }, binding);
  expect(holds({ key: { kind: 'new-key', publicKey: pair.publicKey } })).toBe(false);
  expect(holds({ createdMs: now + 1 })).toBe(false);
  expect(holds({ nonce: new Uint8Array(16) })).toBe(false);
});

test('any changed byte of a proof makes it unreadable or void', () => {
  const made = proofOf(keys[0] as ProofKey);
  fc.assert(
    fc.property(fc.nat(made.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Uint8Array.from(made);
      changed[at] = (changed[at] ?? 0) ^ change;
      let holds = false;
      try {
        holds = verifyProof(crypto, pair.publicKey, parseProof(changed), binding);
      } catch (error) {
        expect(error).toMatchObject({ reason: 'MALFORMED' });
      }
      expect(holds).toBe(false);
    }),
    { numRuns: 200 },
  );
});

test('arbitrary bytes are refused as malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(() => parseProof(bytes)).toThrow(expect.objectContaining({ reason: 'MALFORMED' }));
    }),
  );
});

test('a proof is fresh for two minutes either way, and a stale one hears our time', () => {
  const proof = parseProof(proofOf(keys[0] as ProofKey));
  expect(() => assertFresh(proof, now + 120_000)).not.toThrow();
  expect(() => assertFresh(proof, now - 120_000)).not.toThrow();
  for (const late of [now + 120_001, now - 120_001]) {
    expect(() => assertFresh(proof, late)).toThrow(
      expect.objectContaining({ reason: 'CLOCK_SKEW', facts: { serverTimeMs: BigInt(late) } }),
    );
  }
});
