import type { Bell } from '@roost/bus/ports';
import { Wakeup } from '@roost/bus/wakeup';
import type { Domain } from '@roost/core/ids';
import { SECOND_MS } from '@roost/core/time';

import type { CourierPorts } from './courier.ts';
import { Lane } from './lane.ts';
import { beat, forgetTrouble, giveBack } from './store/lanes.ts';

export interface LanesPorts extends CourierPorts {
  /** Of the gateway: rings where another replica has something to carry. */
  readonly bell: Bell;
  /** Names this replica. */
  readonly replica: string;
}

interface Held {
  readonly lane: Lane;
  readonly ropes: readonly { close(): void }[];
}

const BEATS_PER_LEASE = 4;
/** One that is empty is kept for a while, as what comes next would have to wait for it. */
const LINGER_MS = 30 * SECOND_MS;
const LANES_MAX = 1_024;

/**
 * The lanes that this replica carries. A lease saves the work of several who send the same; it keeps nobody from sending:
 * whoever was frozen and does not know yet that it lost one does no harm, by the marks of the peers.
 */
export class Lanes {
  readonly #ports: LanesPorts;
  readonly #held = new Map<Domain, Held>();
  readonly #ending = new Map<Domain, Promise<void>>();
  /** By our own clock. */
  #until = 0;
  readonly #wakeup = new Wakeup();
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(ports: LanesPorts) {
    this.#ports = ports;
    this.#running = this.#run();
  }

  /** How many are carried here, and how many of them have an open circuit breaker. */
  get counts(): { readonly held: number; readonly open: number } {
    const lanes = [...this.#held.values()];
    return { held: lanes.length, open: lanes.filter(({ lane }) => lane.isOpen).length };
  }

  /** Something waits for a destination: for us to carry, or for the replica whose turn it is. */
  wake(destination: Domain): void {
    const held = this.#held.get(destination);
    if (held !== undefined && this.#holds(destination)) {
      held.lane.nudge();
      return;
    }
    this.#ports.bell.ring(putKey(destination));
    // Nobody's turn, maybe.
    this.#wakeup.wake();
  }

  /** Tries a destination as if nothing had been wrong with it. */
  async again(destination: Domain, { isForced }: { readonly isForced: boolean }): Promise<void> {
    const wasTroubled = await forgetTrouble(this.#ports.database, destination);
    if (!wasTroubled && !isForced) return;
    this.#held.get(destination)?.lane.again();
    this.#ports.bell.ring(againKey(destination));
    this.#wakeup.wake();
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    this.#wakeup.wake();
    await this.#running;
    for (const destination of this.#held.keys()) this.#end(destination);
    await Promise.all(this.#ending.values());
    try {
      await giveBack(this.#ports.database, this.#ports.replica);
      this.#ports.bell.ring(LEASES_KEY);
    } catch {
      // Without the database: they run out.
    }
  }

  #holds(destination: Domain): boolean {
    return this.#held.has(destination) && performance.now() < this.#until;
  }

  async #run(): Promise<void> {
    const { bell, events, timing } = this.#ports;
    const rope = bell.listen(LEASES_KEY, () => this.#wakeup.wake());
    while (!this.#isStopped) {
      try {
        await this.#beat();
      } catch (error) {
        events.troubled('leases', error);
      }
      if (!this.#isStopped) await this.#wakeup.wait(timing.leaseMs / BEATS_PER_LEASE);
    }
    rope.close();
  }

  async #beat(): Promise<void> {
    const { database, replica, timing } = this.#ports;
    // Before the database looked at its clock: it never ends there before it ends here.
    const began = performance.now();
    const keep = [...this.#held].flatMap(([destination, { lane }]) =>
      lane.isUsed(LINGER_MS) ? [destination] : [],
    );
    const { leaseMs } = timing;
    const ours = new Set(await beat(database, replica, { leaseMs, keep, most: LANES_MAX }));
    this.#until = began + leaseMs;
    for (const destination of this.#held.keys()) {
      if (!ours.has(destination)) this.#end(destination);
    }
    for (const destination of ours) {
      const held = this.#held.get(destination);
      if (held !== undefined) held.lane.nudge();
      else if (!this.#ending.has(destination)) this.#begin(destination);
    }
  }

  #begin(destination: Domain): void {
    const { bell } = this.#ports;
    const lane = new Lane(this.#ports, destination, () => this.#holds(destination));
    const ropes = [
      bell.listen(putKey(destination), () => lane.nudge()),
      bell.listen(againKey(destination), () => lane.again()),
    ];
    this.#held.set(destination, { lane, ropes });
  }

  #end(destination: Domain): void {
    const held = this.#held.get(destination);
    if (held === undefined) return;
    this.#held.delete(destination);
    for (const rope of held.ropes) rope.close();
    const ending = held.lane.close().finally(() => this.#ending.delete(destination));
    this.#ending.set(destination, ending);
  }
}

/** Rung where leases become free. */
const LEASES_KEY = 'lanes';

function putKey(destination: Domain): string {
  return `lane.${destination}`;
}

function againKey(destination: Domain): string {
  return `lane.again.${destination}`;
}
