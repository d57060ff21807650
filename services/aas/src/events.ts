import { inSpan } from '@roost/bus/trace';
import { Failure } from '@roost/core/failure';
import type { TokenClass } from '@roost/identity/issuer-keys';
import type { Database } from '@roost/postgres/database';
import { counter, gauge } from '@roost/service/instruments';
import type { Log } from '@roost/service/log';
import { observePool } from '@roost/service/pool-metrics';
import type { KeyRing } from './key-ring.ts';

export type Events = ReturnType<typeof eventsOf>;

const CLASSES = ['general', 'contact'] as const satisfies readonly TokenClass[];

/** Why a token is refused; TOKEN_SPENT is one that comes for the second time. */
const REFUSALS = [
  ...['TOKEN_REQUIRED', 'TOKEN_INVALID', 'TOKEN_SPENT', 'METHOD_UNKNOWN', 'MALFORMED'],
  ...['RATE_LIMITED', 'UNAVAILABLE'],
] as const;

/** What operators care about, one function each. Never who. */
export function eventsOf(log: Log) {
  const issued = counter('roost_aas_tokens_issued_total', 'Tokens issued, by class.', {
    class: CLASSES,
  });
  const redeemed = counter('roost_aas_tokens_redeemed_total', 'Tokens redeemed, by class.', {
    class: CLASSES,
  });
  const refused = counter('roost_aas_tokens_refused_total', 'Calls refused, by reason.', {
    reason: REFUSALS,
  });
  const batchesRefused = counter(
    'roost_aas_batches_refused_total',
    'Batches of tokens that were asked for when too many were.',
  );
  const rotationFailures = counter(
    'roost_aas_rotation_failures_total',
    'Rounds in which the issuer keys could not be looked after.',
  );
  return {
    issued: (tokenClass: TokenClass, count: number) => {
      issued({ class: tokenClass }, count);
      log.debug({ tokenClass, count }, 'tokens issued');
    },
    /** Shows and counts a decision of the gate. */
    checked: async (decide: () => Promise<TokenClass | 'exempt'>) => {
      try {
        const spent = await inSpan('aas check', 'inside', decide);
        if (spent !== 'exempt') redeemed({ class: spent });
        return spent;
      } catch (error) {
        refused({ reason: error instanceof Failure ? error.reason : 'INTERNAL' });
        throw error;
      }
    },
    batchRefused: () => batchesRefused({}),
    keysReplaced: (isVoid: boolean) => {
      const what = isVoid
        ? 'all tokens that were drawn are void'
        : 'the next keys issue from now on';
      log.warn({}, `the operator replaced the issuer keys: ${what}`);
    },
    restored: () =>
      log.warn(
        {},
        'the database was restored: all tokens that were drawn are void, allowances begin anew',
      ),
    rotationFailed: (error: unknown) => {
      rotationFailures({});
      log.error({ error }, 'issuer keys were not rotated');
    },
  };
}

export interface Observed {
  readonly ring: Pick<KeyRing, 'published'>;
  readonly database: Database;
  readonly issuance: { readonly waiting: number };
}

/** What operators look at, read when they do. */
export function observeAas({ ring, database, issuance }: Observed): Disposable {
  const observed = new DisposableStack();
  observed.use(observePool('aas', database));
  observed.use(
    gauge('roost_aas_batches_waiting', 'Batches of tokens that wait to be issued.', (observe) =>
      observe(issuance.waiting),
    ),
  );
  observed.use(
    gauge(
      'roost_aas_issuer_key_expiry_timestamp_seconds',
      'When the newest issuer key of a class ends, since 1970.',
      async (observe) => {
        const keys = await ring.published();
        for (const name of CLASSES) {
          const ends = keys.filter(({ tokenClass }) => tokenClass === name);
          if (ends.length === 0) continue;
          const last = Math.max(...ends.map(({ notAfter }) => Number(notAfter)));
          observe(Math.floor(last / 1_000), { class: name });
        }
      },
    ),
  );
  return observed;
}
