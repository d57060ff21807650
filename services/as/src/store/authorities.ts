import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

export const AUTHORITY_KINDS = { root: 1, intermediate: 2 } as const;

export interface Authority {
  readonly kind: number;
  readonly credential: Uint8Array;
  readonly privateSealed: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Keeps other replicas from making keys until `tx` ends. */
export async function lockAuthorities(tx: Executor): Promise<void> {
  await lock(tx);
}

/** All that have not expired, the newest first. */
export async function findAuthorities(on: Executor, now: Date): Promise<readonly Authority[]> {
  return await select(on, now);
}

export async function addAuthority(tx: Executor, authority: Authority): Promise<void> {
  const { kind, credential, privateSealed, notBefore, notAfter } = authority;
  await insert(tx, kind, credential, privateSealed, notBefore, notAfter);
}

const lock = statement<[], never>('as_lock_authorities', `SELECT FROM pg_advisory_xact_lock(7003)`);

const select = statement<[now: Date], Authority>(
  'as_find_authorities',
  `SELECT kind, credential, private_sealed AS "privateSealed", not_before AS "notBefore",
          not_after AS "notAfter"
     FROM authorities
    WHERE not_after > $1
    ORDER BY authority_number DESC`,
);

const insert = statement<[number, Uint8Array, sealed: Uint8Array, from: Date, until: Date], never>(
  'as_insert_authority',
  `INSERT INTO authorities (kind, credential, private_sealed, not_before, not_after)
   VALUES ($1, $2, $3, $4, $5)`,
);
