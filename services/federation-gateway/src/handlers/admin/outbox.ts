import type { Domain } from '@roost/core/ids';
import { parsePeerDomain } from '@roost/federation/peer-domain';
import type { Database } from '@roost/postgres/database';
import type { FederationAdminServiceDefinition } from '@roost/proto/roost/federation/v1/admin';
import type { Handlers } from '@roost/rpc/service';

import { listTroubles } from '../../outbox/store/lanes.ts';
import { listLetters } from '../../outbox/store/letters.ts';
import { weigh } from '../../outbox/store/rows.ts';

export interface OutboxAdminPorts {
  readonly database: Database;
  readonly retry: (destination: Domain) => Promise<void>;
}

export type OutboxHandlers = Pick<
  Handlers<typeof FederationAdminServiceDefinition>,
  'listOutbox' | 'listDeadLetters' | 'retryPeer'
>;

const LANES_MAX = 500;
const LETTERS_MAX = 500;

/** What operators ask of what waits for other homeservers. */
export function outboxHandlers({ database, retry }: OutboxAdminPorts): OutboxHandlers {
  return {
    async listOutbox() {
      const [weights, troubles] = await Promise.all([weigh(database), listTroubles(database)]);
      const lanes = weights.slice(0, LANES_MAX).map((weight) => {
        const trouble = troubles.get(weight.destination);
        return {
          ...{
            domain: weight.destination,
            events: BigInt(weight.rows),
            bytes: BigInt(weight.bytes),
          },
          oldestMs: BigInt(weight.oldestMs),
          ...{ failures: trouble?.failures ?? 0, nextTryMs: BigInt(trouble?.nextTryMs ?? 0) },
        };
      });
      return { lanes };
    },

    async listDeadLetters({ domain: text, after }) {
      const domain = text === '' ? undefined : parsePeerDomain(text, 'domain');
      const found = await listLetters(database, { domain, after }, LETTERS_MAX + 1);
      const letters = found.slice(0, LETTERS_MAX).map(({ destination, atMs, ...letter }) => ({
        ...{ ...letter, domain: destination, atMs: BigInt(atMs) },
      }));
      return { letters, hasMore: found.length > LETTERS_MAX };
    },

    async retryPeer({ domain }) {
      await retry(parsePeerDomain(domain, 'domain'));
      return {};
    },
  };
}
