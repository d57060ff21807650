import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { type Failure } from '@roost/core/failure';
import { type Domain, GroupId, uuidOf } from '@roost/core/ids';
import { HOUR_MS } from '@roost/core/time';
import { encode } from '@roost/core/tls';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { signWithLabel } from '@roost/crypto/labelled';
import fc from 'fast-check';

import {
  assertAddressed,
  assertCertified,
  assertGroup,
  assertNumber,
  assertSigned,
  BadEnvelope,
  ENVELOPE_MS,
  type EnvelopeOrder,
  groupTagOf,
  readEnvelope,
  signEnvelope,
} from './envelope.ts';
import { A, B, C, keyOf, NOW, trustedOf } from './homes.fixture.ts';
import { keyIdOf } from './keys.ts';

const METHOD = '/roost.delivery.v1.DeliveryService/SendMessage';
const payload = utf8('what is carried');
const key = keyOf(A, NOW - HOUR_MS);
const groupId = GroupId.of(uuidOf(new Uint8Array(16).fill(7)), B);

function signed(changes: Partial<EnvelopeOrder> = {}, by = key, carried = payload) {
  const order = { source: A, destination: B, method: METHOD, createdMs: NOW };
  const messageId = new Uint8Array(16).fill(1);
  return signEnvelope(crypto, by, { ...order, messageId, ...changes }, carried);
}

interface Receiving {
  readonly home?: Domain;
  readonly nowMs?: number;
  readonly carried?: Uint8Array;
  readonly keys?: ReturnType<typeof trustedOf>;
}

/** All that a receiver does, in its order. */
function receive(bytes: Uint8Array, { home = B, nowMs = NOW, carried, keys }: Receiving = {}) {
  const sealed = readEnvelope(bytes);
  assertAddressed(sealed.envelope, home, nowMs);
  assertSigned(crypto, sealed, carried ?? payload, keys ?? trustedOf(key));
  return sealed.envelope;
}

/** The flaw for which something is refused; the reason where it is none of the envelope's. */
function refusal(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return error instanceof BadEnvelope ? error.flaw : (error as Failure).reason;
  }
}

test('what was signed is read as it was meant', () => {
  const number = { incarnation: 3, n: 8n };
  const groupTag = groupTagOf(crypto, { source: A, destination: B, groupId });
  expect(receive(signed({ number, groupTag }))).toEqual({
    ...{ source: A, destination: B, method: METHOD, createdMs: NOW, expiresMs: NOW + ENVELOPE_MS },
    ...{ number, groupTag, messageId: new Uint8Array(16).fill(1) },
    keyId: keyIdOf(crypto, key.publicKey),
    payloadHash: crypto.sha256(payload),
  });
});

test('its bytes are what the contract says', () => {
  const seed = { privateKey: new Uint8Array(32).fill(9) };
  const publicKey = crypto.ed25519.publicKey(seed.privateKey);
  const bytes = signEnvelope(
    crypto,
    { ...seed, publicKey },
    {
      ...{ source: A, destination: B, method: '/a.B/C', createdMs: 0x0102030405 },
      ...{ messageId: new Uint8Array(16).fill(0xee), number: { incarnation: 1, n: 2n } },
    },
    payload,
  );
  const content = [
    '0001', // version
    '09' + toHex(utf8('a.example')) + '09' + toHex(utf8('b.example')),
    '06' + toHex(utf8('/a.B/C')) + toHex(crypto.sha256(publicKey)).slice(0, 16),
    '0000000102030405', // created
    '000000010203ee65', // 60 s later
    'ee'.repeat(16), // message id
    '00000000010000000000000002', // no group; (1, 2)
    toHex(crypto.sha256(payload)),
  ].join('');
  const length = (0x4000 + content.length / 2).toString(16);
  expect(toHex(bytes).startsWith(length + content)).toBe(true);
  expect(bytes.length).toBe(2 + content.length / 2 + 2 + 64);
});

test('an envelope of one homeserver is good at no other', () => {
  expect(refusal(() => receive(signed(), { home: C }))).toBe('destination');
  expect(refusal(() => receive(signed({ destination: C })))).toBe('destination');
});

test('nobody writes in our name, and nobody in that of another', () => {
  expect(refusal(() => receive(signed({ source: B })))).toBe('source');
  // C signs with its own key what is said to be of A; the keys that are looked at are those of A.
  const other = keyOf(C, NOW - HOUR_MS);
  expect(refusal(() => receive(signed({}, other)))).toBe('key-unknown');
  // It even says the key id of A's key.
  const forged = { ...key, privateKey: other.privateKey };
  expect(refusal(() => receive(signed({}, forged)))).toBe('signature');
});

test.each([
  'A.example',
  'a.example.',
  'a.example:443',
  'ä.example',
  'a',
  '127.0.0.1',
  'a@b.example',
])('a source written %s is none', (source) => {
  expect(refusal(() => readEnvelope(signed({ source: source as Domain })))).toBe('form');
});

test('it is good for a minute, and a clock ahead of ours is waited for as long', () => {
  const at = (createdMs: number) => refusal(() => receive(signed({ createdMs })));
  expect([at(NOW), at(NOW - ENVELOPE_MS), at(NOW + ENVELOPE_MS)]).toEqual(Array(3).fill(undefined));
  expect([at(NOW - ENVELOPE_MS - 1), at(NOW + ENVELOPE_MS + 1)]).toEqual([
    'CLOCK_SKEW',
    'CLOCK_SKEW',
  ]);
  expect(() => receive(signed(), { nowMs: NOW + 100_000 })).toThrow(
    expect.objectContaining({ facts: { serverTimeMs: BigInt(NOW + 100_000) } }),
  );
});

/** An envelope of A with other numbers than any that we sign ourselves. */
function strange(times: readonly [created: bigint, expires: bigint], n = 0n): Uint8Array {
  const content = encode((w) =>
    w
      .u16(1)
      .text(A)
      .text(B)
      .text(METHOD)
      .fixed(keyIdOf(crypto, key.publicKey))
      .u64(times[0])
      .u64(times[1])
      .fixed(new Uint8Array(16))
      .opaque(new Uint8Array(0))
      .u32(0)
      .u64(n)
      .fixed(crypto.sha256(payload)),
  );
  const signature = signWithLabel(crypto, key.privateKey, 'FederationEnvelope', content);
  return encode((w) => w.opaque(content).opaque(signature));
}

test('no envelope is good for longer, for no time, or until the end of all numbers', () => {
  const now = BigInt(NOW);
  const of = (created: bigint, expires: bigint, n?: bigint) =>
    refusal(() => receive(strange([created, expires], n)));
  expect(of(now, now + 60_000n)).toBeUndefined();
  expect(of(now, now + 60_001n)).toBe('times');
  expect(of(now, now)).toBe('times');
  expect(of(now, now - 1n)).toBe('times');
  expect(of(0n, 2n ** 64n - 1n)).toBe('form');
  expect(of(2n ** 63n, 2n ** 63n + 60_000n)).toBe('form');
  expect(of(now, now + 1n, 2n ** 63n - 1n)).toBeUndefined();
  expect(of(now, now + 1n, 2n ** 63n)).toBe('form');
});

test('another payload, or a method that is none', () => {
  expect(refusal(() => receive(signed(), { carried: utf8('what is carrieD') }))).toBe('payload');
  for (const method of ['', 'SendMessage', '/a/b', '/roost.x/../y', '/roost.X/Y?', '/roost.X/é']) {
    expect([method, refusal(() => readEnvelope(signed({ method })))]).toEqual([method, 'method']);
  }
  expect(refusal(() => readEnvelope(signed({ method: `/${'a'.repeat(400)}.B/C` })))).toBe('form');
});

test('a key signs from its first to its last moment, and not once it is revoked', () => {
  const [only] = trustedOf(key);
  const of = (changes: object, createdMs = NOW) => {
    const keys = [{ ...only!, ...changes }];
    return refusal(() => receive(signed({ createdMs }), { keys }));
  };
  expect([of({ notBefore: NOW }), of({ notAfter: NOW })]).toEqual([undefined, undefined]);
  expect(of({ notBefore: NOW + 1 })).toBe('key-early');
  expect(of({ notAfter: NOW - 1 })).toBe('key-expired');
  expect(of({ revokedAt: NOW - 1 })).toBe('key-revoked');
  // Not even for what was signed before: whoever stole it dates it back.
  expect(of({ revokedAt: NOW + 1_000 })).toBe('key-revoked');
});

test('a signature for another purpose is none', () => {
  const sealed = readEnvelope(signed());
  const other = signWithLabel(crypto, key.privateKey, 'Request', sealed.content);
  const bytes = encode((w) => w.opaque(sealed.content).opaque(other));
  expect(refusal(() => receive(bytes))).toBe('signature');
});

test('no bit of it can be turned', () => {
  const bytes = signed({ groupTag: groupTagOf(crypto, { source: A, destination: B, groupId }) });
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const turned = Uint8Array.from(bytes);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(refusal(() => receive(turned))).toBeDefined();
    }),
    { numRuns: 200 },
  );
});

test('what is too long, too short or has a tail is no envelope', () => {
  const bytes = signed();
  for (const wrong of [
    new Uint8Array(2_049),
    new Uint8Array(0),
    bytes.slice(0, -1),
    encode((w) => w.fixed(bytes).u8(0)),
  ]) {
    expect(refusal(() => readEnvelope(wrong))).toBe('form');
  }
});

test('it is bound to its group, between these two homeservers and in this direction', () => {
  const groupTag = groupTagOf(crypto, { source: A, destination: B, groupId });
  const { envelope } = readEnvelope(signed({ groupTag }));
  const elsewhere = GroupId.of(groupId.uuid, A);
  const of = (id: GroupId | undefined, given = envelope) =>
    refusal(() => assertGroup(crypto, given, id));
  expect(of(groupId)).toBeUndefined();
  expect([of(elsewhere), of(undefined)]).toEqual(['group', 'group']);
  expect(of(groupId, { ...envelope, source: B, destination: A })).toBe('group');
  const none = readEnvelope(signed()).envelope;
  expect([of(undefined, none), of(groupId, none)]).toEqual([undefined, 'group']);
  expect(refusal(() => readEnvelope(signed({ groupTag: new Uint8Array(31) })))).toBe('form');
});

test('it is bound to its last number, and to the certificate that was shown', () => {
  const { envelope } = readEnvelope(signed({ number: { incarnation: 1, n: 5n } }));
  const of = (incarnation: number, n: bigint) =>
    refusal(() => assertNumber(envelope, { incarnation, n }));
  expect([of(1, 5n), of(1, 4n), of(2, 5n)]).toEqual([undefined, 'number', 'number']);
  assertCertified(envelope, (domain) => domain === A);
  expect(refusal(() => assertCertified(envelope, (domain) => domain === C))).toBe('certificate');
});
