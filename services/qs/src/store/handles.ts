import type { Domain } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';
import type { Rule } from '../domain/rule.ts';

export const STATE = { active: 1, silenced: 2, gone: 3 } as const;
const RULE = { all: 1, silent: 2, muted: 3 } as const;

/** What became of the recipients of a batch; `number` counts them from 1. Unknown ones are missing. */
export const findRecipients = statement<
  [hashes: readonly Uint8Array[], bindings: readonly Uint8Array[], hub: Domain],
  {
    number: bigint;
    clientId: bigint | null;
    state: number;
    isBound: boolean | null;
    pushWrap: Uint8Array | null;
    rule: number;
    mutedUntil: number | null;
  }
>(
  'qs_find_recipients',
  `SELECT r.number, h.client_id AS "clientId", h.state, h.push_wrap AS "pushWrap", h.rule,
          h.muted_until AS "mutedUntil",
          CASE WHEN h.is_last_resort THEN EXISTS (
                 SELECT FROM last_resort_bindings AS b
                  WHERE b.handle_hash = h.handle_hash AND b.binding = r.binding AND b.hub = $3)
               ELSE h.binding = r.binding AND h.hub = $3
          END AS "isBound"
     FROM unnest((SELECT $1::bytea[]), $2::bytea[]) WITH ORDINALITY AS r (hash, binding, number)
     JOIN handles AS h ON h.handle_hash = r.hash`,
);

export interface HandleRow {
  readonly hash: Uint8Array;
  readonly clientId: bigint | null;
  readonly state: number;
  readonly isLastResort: boolean;
  readonly binding: Uint8Array | null;
}

/** Inserts those that are not there; all others are left as they are. */
export const insertHandles = statement<
  [
    clientId: bigint,
    hashes: readonly Uint8Array[],
    bindings: readonly (Uint8Array | null)[],
    hubs: readonly (Domain | null)[],
    isLastResort: readonly boolean[],
  ],
  { hash: Uint8Array }
>(
  'qs_insert_handles',
  `INSERT INTO handles (client_id, handle_hash, binding, hub, is_last_resort)
   SELECT $1, v.* FROM unnest($2::bytea[], $3::bytea[], $4::text[], $5::boolean[]) AS v
    ORDER BY 2
   ON CONFLICT (handle_hash) DO NOTHING
   RETURNING handle_hash AS hash`,
);

export const lockHandles = statement<[hashes: readonly Uint8Array[]], HandleRow>(
  'qs_lock_handles',
  `SELECT handle_hash AS hash, client_id AS "clientId", state, is_last_resort AS "isLastResort", binding
     FROM handles
    WHERE handle_hash = ANY ($1::bytea[])
    ORDER BY handle_hash
      FOR UPDATE`,
);

/** Binds locked handles of single use. */
export const bindHandles = statement<
  [
    hashes: readonly Uint8Array[],
    bindings: readonly (Uint8Array | null)[],
    hubs: readonly (Domain | null)[],
  ],
  never
>(
  'qs_bind_handles',
  `UPDATE handles AS h
      SET binding = coalesce(v.binding, h.binding), hub = coalesce(v.hub, h.hub)
     FROM unnest($1::bytea[], $2::bytea[], $3::text[]) AS v (handle_hash, binding, hub)
    WHERE h.handle_hash = v.handle_hash AND h.state <> 3`,
);

/** Binds the handles of last-resort KeyPackages to one group more; of many, the oldest go. */
export const bindLastResort = statement<
  [
    hashes: readonly Uint8Array[],
    bindings: readonly Uint8Array[],
    hub: Domain,
    bindingsMax: number,
  ],
  never
>(
  'qs_bind_last_resort',
  `WITH made AS (
     INSERT INTO last_resort_bindings (handle_hash, binding, hub)
     SELECT v.handle_hash, v.binding, $3
       FROM unnest($1::bytea[], $2::bytea[]) AS v (handle_hash, binding)
       JOIN handles USING (handle_hash)
     ON CONFLICT DO NOTHING
   )
   DELETE FROM last_resort_bindings AS old
    WHERE handle_hash = ANY ($1::bytea[])
      AND bound_number < (SELECT bound_number FROM last_resort_bindings AS b
                           WHERE b.handle_hash = old.handle_hash
                           ORDER BY bound_number DESC OFFSET $4 - 2 LIMIT 1)`,
);

export const countHandles = statement<[clientId: bigint], { count: bigint }>(
  'qs_count_handles',
  `SELECT count(*) AS count FROM handles WHERE client_id = $1`,
);

export const deleteHandles = statement<[clientId: bigint, hashes: readonly Uint8Array[]], never>(
  'qs_delete_handles',
  `DELETE FROM handles WHERE client_id = $1 AND handle_hash = ANY ($2::bytea[])`,
);

/** Of locked handles; what they are bound to stays. */
export async function setSilenced(
  tx: Executor,
  hashes: readonly Uint8Array[],
  isSilenced: boolean,
): Promise<void> {
  await updateState(tx, hashes, isSilenced ? STATE.silenced : STATE.active);
}

/** The rule of a row. */
export function ruleOf(row: { readonly rule: number; readonly mutedUntil: number | null }): Rule {
  if (row.mutedUntil !== null) return { kind: 'muted', untilMinute: row.mutedUntil };
  return { kind: row.rule === RULE.silent ? 'silent' : 'all' };
}

/** Of locked handles. */
export async function setRule(
  tx: Executor,
  hashes: readonly Uint8Array[],
  rule: Rule,
): Promise<void> {
  await updateRule(tx, hashes, RULE[rule.kind], rule.kind === 'muted' ? rule.untilMinute : null);
}

/** What is left of the handles of a client that is deleted. */
export const buryHandles = statement<[clientId: bigint, month: number], never>(
  'qs_bury_handles',
  `UPDATE handles
      SET client_id = NULL, state = 3, gone_month = $2, rule = 1, muted_until = NULL, push_wrap = NULL
    WHERE client_id = $1`,
);

const updateState = statement<[hashes: readonly Uint8Array[], state: number], never>(
  'qs_set_handle_state',
  `UPDATE handles SET state = $2 WHERE handle_hash = ANY ($1::bytea[]) AND state IN (1, 2)`,
);

const updateRule = statement<
  [hashes: readonly Uint8Array[], rule: number, mutedUntil: number | null],
  never
>(
  'qs_set_handle_rule',
  `UPDATE handles SET rule = $2, muted_until = $3 WHERE handle_hash = ANY ($1::bytea[])`,
);
