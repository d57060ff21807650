import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';

import { isSignedBy, readEnvelope } from './envelope.ts';
import { nameOf, type TrustedKey } from './keys.ts';

/** One row of the record of accepted envelopes. */
export interface AuditRow {
  /** 16 bytes: one for each start of a gateway. */
  readonly chain: Uint8Array;
  /** From 1, without a gap. */
  readonly position: bigint;
  readonly acceptedAtMs: number;
  readonly envelope: Uint8Array;
  readonly hash: Uint8Array;
}

/** What is wrong with the record, and where. */
export interface AuditFlaw {
  readonly chain: string;
  readonly position: bigint;
  /** `head` and `end`: another row, or none, where a head that was kept elsewhere tells of one. */
  readonly what: 'hash' | 'gap' | 'envelope' | 'key' | 'signature' | 'head' | 'end';
}

/** The hash before a chain's first row. */
export const FIRST_HASH: Uint8Array = new Uint8Array(32);
const LABEL = 'Roost 1.0 FederationAudit';

/** What a row is chained with to the one before it. */
export function auditHash(
  crypto: Crypto,
  previous: Uint8Array,
  { chain, position, acceptedAtMs, envelope }: Omit<AuditRow, 'hash'>,
): Uint8Array<ArrayBuffer> {
  return crypto.sha256(
    encode((writer) =>
      writer
        .text(LABEL)
        .fixed(chain)
        .u64(position)
        .u64(BigInt(acceptedAtMs))
        .fixed(previous)
        .opaque(envelope),
    ),
  );
}

/**
 * Checks a record offline: rows in the order of chain and position, each source's keys, those that ended
 * too, and for chains whose beginning is gone the hash that they go on from. Whether a key was revoked
 * later says nothing about what it signed before.
 */
export function checkAudit(
  crypto: Crypto,
  rows: Iterable<AuditRow>,
  keysOf: (source: Domain) => readonly TrustedKey[],
  anchors: ReadonlyMap<string, Uint8Array> = new Map(),
): { readonly checked: number; readonly flaws: readonly AuditFlaw[] } {
  const flaws: AuditFlaw[] = [];
  let [checked, before]: [number, AuditRow | undefined] = [0, undefined];
  for (const row of rows) {
    const chain = nameOf(row.chain);
    const isFirst: boolean = before === undefined || !equal(before.chain, row.chain);
    const anchor = anchors.get(chain);
    const previous = isFirst ? (anchor ?? FIRST_HASH) : before?.hash;
    const expected = isFirst ? (anchor === undefined ? 1n : row.position) : nextOf(before);
    const note = (what: AuditFlaw['what']) => flaws.push({ chain, position: row.position, what });
    if (row.position !== expected) note('gap');
    if (!equal(auditHash(crypto, previous ?? FIRST_HASH, row), row.hash)) note('hash');
    const flaw = envelopeFlaw(crypto, row.envelope, keysOf);
    if (flaw !== undefined) note(flaw);
    checked++;
    before = row;
  }
  return { checked, flaws };
}

function nextOf(row: AuditRow | undefined): bigint {
  return (row?.position ?? 0n) + 1n;
}

function envelopeFlaw(
  crypto: Crypto,
  bytes: Uint8Array,
  keysOf: (source: Domain) => readonly TrustedKey[],
): 'envelope' | 'key' | 'signature' | undefined {
  try {
    const sealed = readEnvelope(bytes);
    const { source, keyId, createdMs } = sealed.envelope;
    const key = keysOf(source).find((each) => equal(each.keyId, keyId));
    if (key === undefined || createdMs < key.notBefore || createdMs > key.notAfter) return 'key';
    return isSignedBy(crypto, sealed, key) ? undefined : 'signature';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return 'envelope';
  }
}
