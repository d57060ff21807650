import type { Database } from '@roost/postgres/database';
import { counter, gauge } from '@roost/service/instruments';
import type { Log } from '@roost/service/log';
import { observePool } from '@roost/service/pool-metrics';
import type { Signing } from './signing.ts';

export type Events = ReturnType<typeof eventsOf>;

/** What operators care about, one function each. Never who. */
export function eventsOf(log: Log) {
  const registrations = counter('roost_as_registrations_total', 'Users who registered.');
  const invites = counter('roost_as_invites_made_total', 'Invite codes that were made.');
  const changes = counter('roost_as_user_changes_total', 'What operators did about users.', {
    change: ['suspended', 'unsuspended', 'limited', 'deleted'],
  });
  const upkeepFailures = counter(
    'roost_as_upkeep_failures_total',
    'Rounds in which keys and old rows could not be looked after.',
  );
  return {
    registered: () => {
      registrations({});
      log.info({}, 'a user registered');
    },
    invitesMade: (count: number) => {
      invites({}, count);
      log.info({ count }, 'invite codes were made');
    },
    userChanged: (change: 'suspended' | 'unsuspended' | 'limited' | 'deleted') => {
      changes({ change });
      log.warn({}, `the operator changed a user: ${change}`);
    },
    intermediateRotated: () => log.warn({}, 'the operator asked for a new intermediate'),
    restored: () =>
      log.warn(
        {},
        'the database was restored: invite codes that were open are void, queues go on behind a gap',
      ),
    upkeepFailed: (error: unknown) => {
      upkeepFailures({});
      log.error({ error }, 'upkeep failed and is tried again');
    },
  };
}

/** What operators look at, read when they do. */
export function observeAs(signing: Pick<Signing, 'ends'>, database: Database): Disposable {
  const observed = new DisposableStack();
  observed.use(observePool('as', database));
  observed.use(
    gauge(
      'roost_as_signing_key_expiry_timestamp_seconds',
      'When a key that signs credentials ends, by kind, since 1970.',
      (observe) => {
        const { root, intermediate } = signing.ends;
        observe(Math.floor(root / 1_000), { kind: 'root' });
        observe(Math.floor(intermediate / 1_000), { kind: 'intermediate' });
      },
    ),
  );
  return observed;
}
