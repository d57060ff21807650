import { assert } from '@roost/core/assert';
import { equal, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Clock, MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { auditHash, type AuditRow, FIRST_HASH } from '@roost/federation/audit';
import type { Database } from '@roost/postgres/database';
import * as store from './store/ledger.ts';

/** An envelope whose signature holds. */
export interface Entry extends store.Seen {
  readonly expiresMs: number;
  /** As it came. */
  readonly envelope: Uint8Array;
}

interface Waiting extends Entry {
  readonly resolve: (is: 'new' | 'repeated') => void;
  readonly reject: (error: unknown) => void;
}

interface Chain {
  readonly chain: Uint8Array;
  readonly number: number;
  readonly position: bigint;
  readonly hash: Uint8Array;
}

export interface LedgerPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
}

const BATCH_MAX = 256;
const WAITING_MAX = 4_096;
/** Clocks of replicas differ: what one refuses by its time, another might not yet. */
const LINGER_MS = 2 * MINUTE_MS;

/**
 * Puts down every envelope that is accepted: its message id, which stands for the same bytes from then on,
 * and the envelope itself, chained to the one before, so that whoever sent it cannot deny it and nobody
 * here can change it. What comes in while a transaction is under way goes with the next one.
 */
export class Ledger {
  readonly #ports: LedgerPorts;
  #waiting: Waiting[] = [];
  #chain: Chain | undefined;
  #running: Promise<void> | undefined;

  constructor(ports: LedgerPorts) {
    this.#ports = ports;
  }

  /** Resolves when it is down; `REPLAY_MISMATCH` where its message id stands for other bytes. */
  async accept(entry: Entry): Promise<'new' | 'repeated'> {
    if (this.#waiting.length >= WAITING_MAX) {
      throw new Failure('RATE_LIMITED', 'too much comes in at once', { retryAfterMs: 1_000 });
    }
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ ...entry, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Forgets message ids that no envelope can bear any more, and rows that are older than wanted. */
  async sweep(keptMs: number): Promise<void> {
    const { clock, database } = this.#ports;
    const nowMs = clock.now();
    await store.forgetSeen(database, nowMs - LINGER_MS);
    await database.transaction((tx) => store.dropRows(tx, nowMs - keptMs));
  }

  async close(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH_MAX);
      try {
        await this.#write(batch);
      } catch (error) {
        // Nobody knows whether it was committed: what comes now begins another chain.
        this.#chain = undefined;
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = undefined;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const { database } = this.#ports;
    const first = new Map<string, Waiting>();
    for (const waiting of batch) {
      const name = nameOf(waiting);
      if (!first.has(name)) first.set(name, waiting);
    }
    const entries = [...first.values()].toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    const chain = (this.#chain ??= await this.#begin());
    const written = await database.transaction(async (tx) => {
      const added = new Set((await store.addSeen(tx, entries)).map(nameOf));
      const others = entries.filter((entry) => !added.has(nameOf(entry)));
      const before = others.length === 0 ? [] : await store.findSeen(tx, others);
      const rows = this.#chained(
        chain,
        entries.filter((entry) => added.has(nameOf(entry))),
      );
      await store.addRows(tx, chain.number, rows);
      return { added, before: new Map(before.map((seen) => [nameOf(seen), seen])), rows };
    });
    const last = written.rows.at(-1);
    if (last !== undefined) this.#chain = { ...chain, position: last.position, hash: last.hash };
    for (const waiting of batch) this.#tell(waiting, first, written);
  }

  #tell(
    waiting: Waiting,
    first: ReadonlyMap<string, Waiting>,
    { added, before }: { added: ReadonlySet<string>; before: ReadonlyMap<string, store.Seen> },
  ): void {
    const name = nameOf(waiting);
    const known = before.get(name) ?? first.get(name);
    assert(known !== undefined, 'an id that is not new was there before');
    if (!equal(known.digest, waiting.digest)) {
      waiting.reject(new Failure('REPLAY_MISMATCH', 'this message id was used for something else'));
    } else waiting.resolve(added.has(name) && first.get(name) === waiting ? 'new' : 'repeated');
  }

  #chained(chain: Chain, entries: readonly Entry[]): AuditRow[] {
    const { clock, crypto } = this.#ports;
    let { position, hash } = chain;
    return entries.map(({ envelope }) => {
      position++;
      const row = { chain: chain.chain, position, acceptedAtMs: clock.now(), envelope };
      hash = auditHash(crypto, hash, row);
      return { ...row, hash };
    });
  }

  async #begin(): Promise<Chain> {
    const { crypto, database } = this.#ports;
    const chain = crypto.random(16);
    const number = await store.beginChain(database, chain, FIRST_HASH);
    return { chain, number, position: 0n, hash: FIRST_HASH };
  }
}

function nameOf({ source, messageId }: Pick<store.Seen, 'source' | 'messageId'>): string {
  return `${source} ${toHex(messageId)}`;
}
