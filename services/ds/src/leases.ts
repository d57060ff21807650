import type { Bell } from '@roost/bus/ports';
import { Wakeup } from '@roost/bus/wakeup';
import type { Database } from '@roost/postgres/database';
import type { DsEvents } from './events.ts';
import { beat, giveBack } from './store/leases.ts';

export interface LeasesPorts {
  readonly database: Database;
  readonly bell: Bell;
  readonly events: DsEvents;
}

export interface LeasesOptions {
  /** Names this replica; whoever comes back under the same name has its leases still. */
  readonly replica: string;
  readonly leaseMs: number;
  readonly gained: (partitions: readonly number[]) => void;
}

/**
 * Which partitions this replica carries. A lease saves the work of several who send the same; it keeps nobody from
 * sending: whoever was frozen and does not know yet that it lost one does no harm, by the marks of the receiver.
 */
export class Leases {
  readonly #ports: LeasesPorts;
  readonly #options: LeasesOptions;
  readonly #held = new Set<number>();
  /** By our own clock, which tells how long something took but not what time it is. */
  #until = 0;
  readonly #wakeup = new Wakeup();
  readonly #rope: { close(): void };
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(ports: LeasesPorts, options: LeasesOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#rope = ports.bell.listen(BELL_KEY, () => this.#wakeup.wake());
    this.#running = this.#run();
  }

  holds(partition: number): boolean {
    return this.#held.has(partition) && performance.now() < this.#until;
  }

  /** How many partitions this replica carries. */
  get count(): number {
    return performance.now() < this.#until ? this.#held.size : 0;
  }

  /** Gives back what is held, when nothing is sent any more. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#rope.close();
    this.#wakeup.wake();
    await this.#running;
    this.#held.clear();
    try {
      await giveBack(this.#ports.database, this.#options.replica);
      this.#ports.bell.ring(BELL_KEY);
    } catch {
      // Without the database: they run out.
    }
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#beat();
      } catch (error) {
        this.#ports.events.leasesFailed(error);
      }
      if (!this.#isStopped) await this.#wakeup.wait(this.#options.leaseMs / BEATS_PER_LEASE);
    }
  }

  async #beat(): Promise<void> {
    const { database, bell } = this.#ports;
    const { replica, leaseMs, gained } = this.#options;
    // Before the database looked at its clock: it never ends there before it ends here.
    const began = performance.now();
    const { held, isGiving } = await beat(database, replica, leaseMs);
    const fresh = held.filter((partition) => !this.holds(partition));
    this.#held.clear();
    for (const partition of held) this.#held.add(partition);
    this.#until = began + leaseMs;
    if (fresh.length > 0) gained(fresh);
    if (isGiving) bell.ring(BELL_KEY);
  }
}

/** Rung where leases become free. */
const BELL_KEY = 'outbox.leases';
const BEATS_PER_LEASE = 4;
