import { equal, toHex } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import { readEnvelope } from '@roost/federation/envelope';
import type { Database } from '@roost/postgres/database';
import type {
  AuditKey,
  FederationAdminServiceDefinition,
  ReadAuditRequest,
} from '@roost/proto/roost/federation/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import { isChain, readRows, type ReadRow } from '../../store/ledger.ts';
import { findKeysNamed } from '../../store/peers.ts';

const PAGE = 1_000;
const CHAIN_BYTES = 16;

/** The record, so that it can be checked by who has its pages alone: rows, keys, and where chains go on from. */
export function auditHandlers({
  database,
}: {
  readonly database: Database;
}): Pick<Handlers<typeof FederationAdminServiceDefinition>, 'readAudit'> {
  return {
    async readAudit(request) {
      const found = await readRows(database, await placeOf(database, request), PAGE + 1);
      const rows = found.slice(0, PAGE);
      return {
        rows: rows.map(({ acceptedAtMs, chain, position, envelope, hash }) => ({
          ...{ chain, position, envelope, hash, acceptedAtMs: BigInt(acceptedAtMs) },
        })),
        keys: await keysOf(database, rows),
        anchors: rows.filter(isAnchored).map(({ chain, anchor }) => ({ chain, hash: anchor })),
        hasMore: found.length > PAGE,
      };
    },
  };
}

async function placeOf(database: Database, { chain, position }: ReadAuditRequest) {
  if (chain.length === 0) return undefined;
  // After a chain that is not there nothing would follow, as at the end of the record.
  if (chain.length === CHAIN_BYTES && (await isChain(database, chain))) return { chain, position };
  throw malformed('chain', 'is none of this record');
}

/** The first row that is left of a chain, whose beginning is gone by age. */
function isAnchored({ position, anchorPosition }: ReadRow): boolean {
  return anchorPosition > 0n && position === anchorPosition + 1n;
}

async function keysOf(database: Database, rows: readonly ReadRow[]): Promise<AuditKey[]> {
  const named = new Map(
    rows.map(({ envelope }) => {
      const { source, keyId } = readEnvelope(envelope).envelope;
      return [`${source} ${toHex(keyId)}`, { source, keyId }];
    }),
  );
  const found = await findKeysNamed(database, [...named.values()]);
  return found
    .filter((key, at) => !found.slice(0, at).some((other) => isSame(key, other)))
    .map(({ domain, publicKey, notBefore, notAfter }) => ({
      ...{ domain, publicKey },
      ...{ notBeforeMs: BigInt(notBefore), notAfterMs: BigInt(notAfter) },
    }));
}

type Found = Awaited<ReturnType<typeof findKeysNamed>>[number];

function isSame(a: Found, b: Found): boolean {
  return a.domain === b.domain && equal(a.publicKey, b.publicKey);
}
