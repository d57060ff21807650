import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import type { Database } from '@roost/postgres/database';
import { findStanding, type Kind, type Listing, type Mode } from './store/policy.ts';

/** Whether a domain is let in. What was said of it counts more than the mode; a block ends it. */
export function isAdmitted(mode: Mode, kind: Kind | undefined): boolean {
  return kind === undefined ? mode === 'open' : kind === 'allowed';
}

/**
 * Whom this homeserver exchanges messages with. It is read for each exchange, by one statement over two
 * primary keys, and kept nowhere: so a change holds at once, at every replica.
 */
export class Policy {
  readonly #database: Database;
  readonly #home: Domain;

  constructor(database: Database, home: Domain) {
    this.#database = database;
    this.#home = home;
  }

  /** What was said of a domain that is let in; refuses the others, in either direction alike. */
  async admit(domain: Domain): Promise<Listing | undefined> {
    const { mode, listing } = await findStanding(this.#database, domain);
    if (domain !== this.#home && isAdmitted(mode, listing?.kind)) return listing;
    throw new Failure(
      'FEDERATION_DENIED',
      `${this.#home} does not exchange messages with ${domain}`,
    );
  }
}
