import type { Domain } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';
import { type Kind, kindOf } from './policy.ts';

/** A homeserver that was met or listed, as the operator is told of it; what is not known is 0. */
export interface KnownPeer {
  readonly domain: Domain;
  readonly kind: Kind | undefined;
  readonly firstMetMs: number;
  /** Its directory; `undefined` where it was never met. */
  readonly signed: Uint8Array | undefined;
  readonly readAtMs: bigint;
  readonly failures: number;
  readonly nextTryMs: bigint;
  readonly trouble: string;
}

/** By domain. */
export async function listPeers(
  on: Executor,
  after: string,
  most: number,
): Promise<readonly KnownPeer[]> {
  const rows = await selectPeers(on, after, most);
  return rows.map(({ kind, firstMet, signed, ...row }) => ({
    ...row,
    kind: kindOf(kind),
    firstMetMs: firstMet === null ? 0 : +firstMet,
    signed: signed ?? undefined,
  }));
}

const selectPeers = statement<
  [after: string, most: number],
  Omit<KnownPeer, 'kind' | 'firstMetMs' | 'signed'> & {
    kind: number | null;
    firstMet: Date | null;
    signed: Uint8Array | null;
  }
>(
  'federation_list_peers',
  `SELECT domain, kind, first_met AS "firstMet", signed,
          COALESCE(read_at_ms, 0) AS "readAtMs", COALESCE(failures, 0) AS failures,
          COALESCE(next_try_ms, 0) AS "nextTryMs",
          COALESCE(NULLIF(searches.trouble, ''), lanes.trouble, '') AS trouble
     FROM (SELECT domain FROM peers UNION SELECT domain FROM listings) AS known
     LEFT JOIN peers USING (domain)
     LEFT JOIN listings USING (domain)
     LEFT JOIN searches USING (domain)
     LEFT JOIN lanes ON lanes.destination = domain
    WHERE domain > $1
    ORDER BY domain
    LIMIT $2`,
);
