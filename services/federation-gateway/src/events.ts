import { Failure } from '@roost/core/failure';
import { BadEnvelope, ENVELOPE_FLAWS } from '@roost/federation/envelope';
import type { Database } from '@roost/postgres/database';
import { counter, gauge } from '@roost/service/instruments';
import type { Log } from '@roost/service/log';
import { observePool } from '@roost/service/pool-metrics';
import type { Crowd } from './crowd.ts';
import { DISCOVERY_FLAWS, PeerUnreachable } from './discovery/unreachable.ts';

/** What operators care about: numbers by kind, without a name of anybody. */
export interface FederationEvents {
  /** An envelope was let in. */
  accepted(kind: 'group' | 'call'): void;
  /** Something that came in was refused, before it was read, at the door or behind it. */
  refused(kind: 'unread' | 'group' | 'call', error: unknown): void;
  /** A peer was looked for. */
  searched(error?: unknown): void;
  /** A request of one of our users went out, or could not. */
  forwarded(error?: unknown): void;
  /** Work in the background did not get done. */
  troubled(task: 'keys' | 'sweep', error: unknown): void;
  restored(): void;
}

export function federationEvents(log: Log): FederationEvents {
  const envelopes = counter(
    'roost_federation_envelopes_total',
    'Envelopes of other homeservers, by what became of them.',
    { kind: ['unread', 'group', 'call'], outcome: ['accepted', ...REFUSALS, ...FLAWS] },
  );
  const searches = counter(
    'roost_federation_searches_total',
    'Homeservers that were looked for, by how that went.',
    { outcome: ['found', 'FEDERATION_DENIED', 'RATE_LIMITED', 'UNAVAILABLE', ...PLACES] },
  );
  const forwarded = counter(
    'roost_federation_forwarded_total',
    'Requests of our users to other homeservers, by how they ended.',
    { outcome: ['answered', ...REFUSALS, ...PLACES] },
  );
  const failures = counter(
    'roost_federation_task_failures_total',
    'Work in the background that did not get done.',
    { task: ['keys', 'sweep'] },
  );
  return {
    accepted: (kind) => envelopes({ kind, outcome: 'accepted' }),
    refused: (kind, error) => {
      const outcome = outcomeOf(error);
      envelopes({ kind, outcome });
      // Whoever sent it hears the same; the operator may want to know who that was meant to be from.
      log.info({ reason: outcome }, 'an envelope was refused');
    },
    searched: (error) => searches({ outcome: error === undefined ? 'found' : outcomeOf(error) }),
    forwarded: (error) =>
      forwarded({ outcome: error === undefined ? 'answered' : outcomeOf(error) }),
    restored: () => log.warn({}, 'the database was restored: the directory is signed anew'),
    troubled: (task, error) => {
      failures({ task });
      log.error({ error, reason: task }, 'work in the background failed');
    },
  };
}

/** What the gateway's pool and its door do, read by who asks for metrics. */
export function observeFederation(
  database: Database,
  crowd: Pick<Crowd, 'inside' | 'waiting'>,
): Disposable {
  const observed = [
    observePool('federation-gateway', database),
    gauge(
      'roost_federation_calls',
      'Calls of other homeservers, by whether they are let in already.',
      (observe) => {
        observe(crowd.inside, { state: 'inside' });
        observe(crowd.waiting, { state: 'waiting' });
      },
    ),
  ];
  return {
    [Symbol.dispose]: () => {
      for (const each of observed) each[Symbol.dispose]();
    },
  };
}

/** Reasons that have a series of their own; the others count together. */
const REFUSALS = [
  ...['CLOCK_SKEW', 'FEDERATION_DENIED', 'REPLAY_MISMATCH', 'RATE_LIMITED', 'UNAVAILABLE'],
  ...['METHOD_UNKNOWN', 'MALFORMED'],
];
const FLAWS = ENVELOPE_FLAWS.map((flaw) => `BAD_ENVELOPE ${flaw}`);
const PLACES = DISCOVERY_FLAWS.map((flaw) => `UNREACHABLE ${flaw}`);

/** The flaw where there is one, as that says more: of a few words, never of what came in. */
function outcomeOf(error: unknown): string {
  if (error instanceof BadEnvelope) return `BAD_ENVELOPE ${error.flaw}`;
  if (error instanceof PeerUnreachable) return `UNREACHABLE ${error.flaw}`;
  return error instanceof Failure ? error.reason : 'INTERNAL';
}
