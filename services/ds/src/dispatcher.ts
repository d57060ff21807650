import { PARTITIONS } from '@roost/bus/frames';
import type { Bell, Bus } from '@roost/bus/ports';
import { Wakeup } from '@roost/bus/wakeup';
import type { Domain } from '@roost/core/ids';
import { backoffMs, sleep } from '@roost/core/time';
import { Carriage } from './carriage.ts';
import type { CarriagePorts } from './carriage.ts';
import type { DispatchConfig, DsConfig } from './config.ts';
import { Stalled } from './domain/stalled.ts';
import type { PartitionsToCarry } from './fan-out.ts';
import { Leases } from './leases.ts';
import {
  listHeads,
  partitionsWaitingElsewhere,
  waitingDestinations,
  waitingPartitions,
} from './store/waiting.ts';
import type { HeadsAfter } from './store/waiting.ts';

export interface DispatcherPorts extends CarriagePorts {
  readonly bell: Bell;
  /** To the gateway, for the users of other homeservers; absent where there are none. */
  readonly federationBus?: Bus | undefined;
}

/** One of the two ways that rows go: home to our own QS, or away, by the gateway. They know nothing of each other. */
interface Way {
  readonly isHome: boolean;
  readonly carriage: Carriage;
  /** One for each partition. */
  readonly wakeups: readonly Wakeup[];
}

/**
 * Carries those partitions of the outbox to their receivers that this replica has a lease on, each by itself and in order.
 */
export class Dispatcher {
  readonly #ports: DispatcherPorts;
  readonly #home: Domain;
  readonly #config: DispatchConfig;
  readonly #stop = new AbortController();
  readonly #ways: readonly Way[];
  readonly leases: Leases;
  readonly #ropes: readonly { close(): void }[];
  readonly #running: Promise<void>[];

  constructor(ports: DispatcherPorts, { domain, dispatch }: DsConfig, replica: string) {
    this.#ports = ports;
    this.#home = domain;
    this.#config = dispatch;
    const { bus, federationBus } = ports;
    this.#ways = [
      this.#wayOver(bus, true),
      ...(federationBus === undefined ? [] : [this.#wayOver(federationBus, false)]),
    ];
    const { leaseMs } = dispatch;
    const gained = (partitions: readonly number[]): void => {
      for (const way of this.#ways) wakeIn(way, partitions);
    };
    this.leases = new Leases(ports, { replica, leaseMs, gained });
    this.#ropes = this.#ways.flatMap((way) =>
      way.wakeups.map((wakeup, partition) =>
        ports.bell.listen(bellKey(way, partition), () => wakeup.wake()),
      ),
    );
    this.#running = this.#ways.flatMap((way) => [
      ...way.wakeups.map((wakeup, partition) => this.#carry(way, partition, wakeup)),
      this.#poll(way),
      this.#tellHeads(way),
    ]);
  }

  /** Says that something waits: to us, or to the replica whose turn it is. */
  wake({ home, away }: PartitionsToCarry): void {
    for (const way of this.#ways) {
      for (const partition of way.isHome ? home : away) {
        if (this.leases.holds(partition)) wakeIn(way, [partition]);
        else this.#ports.bell.ring(bellKey(way, partition));
      }
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    for (const rope of this.#ropes) rope.close();
    for (const { wakeups } of this.#ways) for (const wakeup of wakeups) wakeup.wake();
    await Promise.all(this.#running);
    await this.leases.close();
  }

  #wayOver(bus: Bus, isHome: boolean): Way {
    const ports = { ...this.#ports, bus };
    return {
      isHome,
      carriage: new Carriage(ports, this.#home, this.#config, this.#stop.signal),
      wakeups: Array.from({ length: PARTITIONS }, () => new Wakeup()),
    };
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Empties a partition while it is ours, then sleeps until something is put in or it becomes ours. */
  async #carry(way: Way, partition: number, wakeup: Wakeup): Promise<void> {
    const stalled = new Stalled();
    let retryAtMs = Infinity;
    for (let attempt = 0; !this.#isStopped;) {
      try {
        // Not put off by what comes meanwhile, or it would wait for as long as others speak.
        if (performance.now() >= retryAtMs) {
          stalled.clear();
          retryAtMs = Infinity;
          attempt++;
        }
        if (!this.leases.holds(partition)) stalled.clear();
        await this.#empty(way, partition, stalled);
        if (stalled.isEmpty) [attempt, retryAtMs] = [0, Infinity];
        else retryAtMs = Math.min(retryAtMs, performance.now() + this.#pauseMs(attempt));
        const rest = retryAtMs - performance.now();
        if (!this.#isStopped) await wakeup.wait(stalled.isEmpty ? undefined : Math.max(0, rest));
      } catch (error) {
        if (this.#isStopped) return;
        this.#ports.events.dispatchFailed(partition, attempt, error);
        await this.#pause(attempt++);
      }
    }
  }

  /** A batch for each destination in turn, until none has more. Whoever puts something in while this runs wakes us again. */
  async #empty(way: Way, partition: number, stalled: Stalled): Promise<void> {
    for (let hasMore = true; hasMore;) {
      hasMore = false;
      for (const destination of await this.#destinations(way, partition, stalled)) {
        if (this.#isStopped || !this.leases.holds(partition)) return;
        stalled.turn = destination;
        const carried = await way.carriage.carry(
          { partition, destination },
          stalled.groupsOf(destination),
        );
        if (carried === 'refused') stalled.refuse(destination);
        if (carried === 'more') hasMore = true;
      }
    }
  }

  async #destinations(
    { isHome }: Way,
    partition: number,
    stalled: Stalled,
  ): Promise<readonly Domain[]> {
    if (!this.leases.holds(partition)) return [];
    if (isHome) return stalled.inTurn([this.#home]);
    return stalled.inTurn(await waitingDestinations(this.#ports.database, partition, this.#home));
  }

  /** What another replica left behind when it died, and what we were rung for in vain. */
  async #poll(way: Way): Promise<void> {
    const find = way.isHome ? waitingPartitions : partitionsWaitingElsewhere;
    while (!this.#isStopped) {
      try {
        wakeIn(way, await find(this.#ports.database, this.#home));
      } catch {
        // The database is away: whoever sends hears it, and we look again.
      }
      await sleep(this.#config.pollMs, this.#stop.signal);
    }
  }

  /** Round after round, tells each group's last number, so that a quiet one reveals a loss too. */
  async #tellHeads(way: Way): Promise<void> {
    while (!this.#isStopped) {
      await sleep(this.#config.headsMs, this.#stop.signal);
      for (let attempt = 0, after: HeadsAfter | undefined; !this.#isStopped;) {
        try {
          after = await this.#tellHeadsAfter(way, after);
          if (after === undefined) break;
          attempt = 0;
        } catch (error) {
          if (this.#isStopped) return;
          this.#ports.events.dispatchFailed(-1, attempt, error);
          await this.#pause(attempt++);
        }
      }
    }
  }

  async #tellHeadsAfter(
    { isHome, carriage }: Way,
    after: HeadsAfter | undefined,
  ): Promise<HeadsAfter | undefined> {
    const { database } = this.#ports;
    const which = { home: this.#home, isHome, after };
    const heads = await listHeads(database, which, this.#config.batchEventsMax);
    const loads = Map.groupBy(heads, (head) => `${head.partition} ${head.destination}`);
    for (const those of loads.values()) {
      const [first] = those;
      if (first === undefined || !this.leases.holds(first.partition)) continue;
      await carriage.tellHeads(first, those);
    }
    return heads.at(-1);
  }

  async #pause(attempt: number): Promise<void> {
    await sleep(this.#pauseMs(attempt), this.#stop.signal);
  }

  #pauseMs(attempt: number): number {
    const { backoffFirstMs, backoffLastMs } = this.#config;
    const random = (this.#ports.crypto.random(1)[0] ?? 0) / 256;
    return backoffMs(attempt, backoffFirstMs, backoffLastMs, random);
  }
}

function wakeIn({ wakeups }: Way, partitions: Iterable<number>): void {
  for (const partition of partitions) wakeups[partition]?.wake();
}

function bellKey({ isHome }: Way, partition: number): string {
  return isHome ? `outbox.${partition}` : `outbox.away.${partition}`;
}
