import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { nodeCrypto as crypto } from '@roost/crypto/node';

import { auditHash, type AuditRow, checkAudit, FIRST_HASH } from './audit.ts';
import { signEnvelope } from './envelope.ts';
import { A, B, keyOf, NOW, trustedOf } from './homes.fixture.ts';

const [old, young] = [keyOf(), keyOf()];
const keysOf = () => trustedOf(old, young);

function chainOf(name: number, ...signers: readonly (typeof old)[]): AuditRow[] {
  const chain = new Uint8Array(16).fill(name);
  let previous = FIRST_HASH;
  return signers.map((key, at) => {
    const order = { source: A, destination: B, method: '/roost.X/Y', createdMs: NOW + at };
    const messageId = new Uint8Array(16).fill(at);
    const envelope = signEnvelope(crypto, key, { ...order, messageId }, utf8(`${at}`));
    const row = { chain, position: BigInt(at + 1), acceptedAtMs: NOW + at, envelope };
    previous = auditHash(crypto, previous, row);
    return { ...row, hash: previous };
  });
}

const rows = [...chainOf(1, old, old, young, young), ...chainOf(2, young)];
const flawsOf = (given: readonly AuditRow[], anchors?: ReadonlyMap<string, Uint8Array>) =>
  checkAudit(crypto, given, keysOf, anchors).flaws.map(
    ({ chain, position, what }) => `${chain.slice(0, 2)} ${position} ${what}`,
  );

test('a record verifies over several chains and over a rotation of keys', () => {
  expect(checkAudit(crypto, rows, keysOf)).toEqual({ checked: 5, flaws: [] });
});

test('a row that was changed, taken out, put elsewhere or cut off is found', () => {
  const changed = rows.with(1, { ...rows[1]!, acceptedAtMs: NOW + 7 });
  expect(flawsOf(changed)).toEqual(['01 2 hash']);
  expect(flawsOf(rows.toSpliced(1, 1))).toEqual(['01 3 gap', '01 3 hash']);
  expect(flawsOf([...rows.slice(0, 1), rows[2]!, rows[1]!, ...rows.slice(3)])).toContain(
    '01 3 gap',
  );
  expect(flawsOf(rows.slice(1))).toEqual(['01 2 gap', '01 2 hash']);
});

test('a row is not made anew without the key that signed it', () => {
  const [thief] = [keyOf()];
  const forged = chainOf(1, old, thief, young);
  expect(flawsOf(forged)).toEqual(['01 2 key']);
  const garbled = Uint8Array.from(rows[0]!.envelope);
  garbled[garbled.length - 1]! ^= 1;
  const row = { ...rows[0]!, envelope: garbled };
  const again = [{ ...row, hash: auditHash(crypto, FIRST_HASH, row) }];
  expect(flawsOf(again)).toEqual(['01 1 signature']);
  const torn = { ...row, envelope: garbled.slice(1) };
  expect(flawsOf([{ ...torn, hash: auditHash(crypto, FIRST_HASH, torn) }])).toEqual([
    '01 1 envelope',
  ]);
});

test('a chain whose beginning is gone by age goes on from its anchor', () => {
  const chain = toHex(rows[0]!.chain);
  const kept = rows.slice(2, 4);
  expect(flawsOf(kept, new Map([[chain, rows[1]!.hash]]))).toEqual([]);
  expect(flawsOf(kept, new Map([[chain, rows[0]!.hash]]))).toEqual(['01 3 hash']);
});

test('what a key signed before it was revoked stays said', () => {
  const revoked = () => keysOf().map((key) => ({ ...key, revokedAt: NOW + 1_000 }));
  expect(checkAudit(crypto, rows, revoked).flaws).toEqual([]);
});
