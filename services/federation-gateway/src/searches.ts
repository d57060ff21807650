import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { type Clock, MINUTE_MS, SECOND_MS, sleep } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';

import { FETCH_MS } from './discovery/document.ts';
import { isPassing, PeerUnreachable } from './discovery/unreachable.ts';
import type { FederationEvents } from './events.ts';
import type { StoredPeer } from './store/peers.ts';
import * as store from './store/searches.ts';

export interface SearchesPorts {
  readonly database: Database;
  readonly clock: Clock;
  readonly events: Pick<FederationEvents, 'searched'>;
  /** Fetches the document that a domain publishes. */
  readonly fetchDocument: (domain: Domain, signal?: AbortSignal) => Promise<Uint8Array>;
  /** Believes what was fetched and keeps it, or says what is wrong with it. */
  readonly keep: (domain: Domain, document: Uint8Array) => Promise<StoredPeer>;
  /** What was kept. */
  readonly findKept: (domain: Domain) => Promise<StoredPeer | undefined>;
}

/** For so long nobody is looked for who was found, or is not what it should be. */
const WAIT_MS = MINUTE_MS;
/** Who was late or away is, the first time; doubled each time after. */
const FIRST_WAIT_MS = 5 * SECOND_MS;
/** Whoever looks and is not heard of for so long has died over it. */
const LEASE_MS = FETCH_MS + 5 * SECOND_MS;
/** So many at once: whoever makes up names waits for the others who do. */
const SEARCHES_MAX = 48;
/** What is told to whoever does not wait for a look that goes on. */
const RETRY_MS = 2 * SECOND_MS;
/** How often it is seen whether another replica is done. */
const OTHERS_MS = 100;

/**
 * Looks for homeservers: each is looked for once at a time, by all replicas together, and then not for a while.
 * How long a look takes and how long somebody waits for it are two things: it goes on without them, and
 * what it finds is kept for all who ask later.
 */
export class Searches {
  readonly #ports: SearchesPorts;
  readonly #running = new Map<Domain, Promise<StoredPeer>>();
  readonly #stop = new AbortController();

  constructor(ports: SearchesPorts) {
    this.#ports = ports;
  }

  /** Those who ask for the same domain at once hear the same, or that they have to come again. */
  async find(domain: Domain, patienceMs: number): Promise<StoredPeer> {
    const running = this.#running.get(domain) ?? this.#begin(domain);
    const waited = new AbortController();
    const late = sleep(patienceMs, waited.signal).then(() => {
      throw comeAgain(`${domain} is looked for still`);
    });
    try {
      return await Promise.race([running, late]);
    } finally {
      waited.abort();
    }
  }

  /** The same; where another replica looks for it right now, what that finds is ours too. */
  async findAnywhere(domain: Domain, patienceMs: number): Promise<StoredPeer> {
    const { clock, database, findKept } = this.#ports;
    try {
      return await this.find(domain, patienceMs);
    } catch (error) {
      if (!(error instanceof LookedForElsewhere)) throw error;
      for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += OTHERS_MS) {
        const found = await findKept(domain);
        if (found !== undefined && found.reliedUntilMs > clock.now()) return found;
        const search = await store.findSearch(database, domain);
        if (search !== undefined && search.trouble !== '') throw this.#notYet(search);
        await sleep(OTHERS_MS, this.#stop.signal);
      }
      throw error;
    }
  }

  /** Ends what goes on; nobody has been looked for by that. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running.values());
  }

  #begin(domain: Domain): Promise<StoredPeer> {
    if (this.#running.size >= SEARCHES_MAX) {
      return Promise.reject(
        new Failure('RATE_LIMITED', 'too many homeservers are looked for', {
          retryAfterMs: RETRY_MS,
        }),
      );
    }
    const searching = this.#search(domain).finally(() => this.#running.delete(domain));
    // It may end when nobody waits for it any more.
    searching.catch(() => undefined);
    this.#running.set(domain, searching);
    return searching;
  }

  async #search(domain: Domain): Promise<StoredPeer> {
    const { clock, database, events, fetchDocument, keep } = this.#ports;
    const nowMs = clock.now();
    const claim = await store.claimSearch(database, domain, { nowMs, untilMs: nowMs + LEASE_MS });
    if (!claim.isOurs) {
      if (claim.trouble === '') throw new LookedForElsewhere(domain);
      throw this.#notYet(claim);
    }
    try {
      const found = await keep(domain, await fetchDocument(domain, this.#stop.signal));
      await store.noteSearch(database, domain, {
        ...{ trouble: '', misses: 0, untilMs: nowMs + WAIT_MS },
      });
      events.searched();
      return found;
    } catch (error) {
      const trouble = error instanceof Failure ? readable(domain, error) : error;
      if (this.#stop.signal.aborted) {
        const { misses } = claim;
        await store.noteSearch(database, domain, { trouble: '', misses, untilMs: nowMs });
        throw trouble;
      }
      events.searched(trouble);
      if (!(trouble instanceof Failure)) throw trouble;
      await store.noteSearch(database, domain, {
        trouble: trouble.message,
        untilMs: clock.now() + waitMsAfter(trouble, claim.misses),
        misses: claim.misses + 1,
      });
      throw trouble;
    }
  }

  #notYet({ trouble, untilMs }: Pick<store.Search, 'trouble' | 'untilMs'>): Failure {
    const retryAfterMs = Math.max(0, untilMs - this.#ports.clock.now());
    return new Failure('UNAVAILABLE', trouble, { retryAfterMs });
  }
}

/** A busy machine or a lost packet is soon over; what is wrong with a homeserver stays for longer. */
function waitMsAfter(trouble: Failure, misses: number): number {
  const passes = trouble instanceof PeerUnreachable && isPassing(trouble.flaw);
  return passes ? Math.min(WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(misses, 10)) : WAIT_MS;
}

function comeAgain(message: string): Failure {
  return new Failure('UNAVAILABLE', message, { retryAfterMs: RETRY_MS });
}

/** It is looked for right now or was a moment ago, and nothing was wrong until then. */
class LookedForElsewhere extends Failure {
  constructor(domain: Domain) {
    const facts = { retryAfterMs: RETRY_MS };
    super('UNAVAILABLE', `${domain} was looked for a moment ago`, facts);
  }
}

/** Whatever is wrong with a document is a trouble of the peer's, not of whoever made us look. */
function readable(domain: Domain, error: Failure): Failure {
  if (error instanceof PeerUnreachable || error.reason === 'UNAVAILABLE') return error;
  return new PeerUnreachable('document', `${domain}: ${error.message}`, error);
}
