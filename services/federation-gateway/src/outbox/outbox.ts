import type { Bell, Bus } from '@roost/bus/ports';
import { toHex } from '@roost/core/bytes';
import type { Domain } from '@roost/core/ids';
import { type Clock, SECOND_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { Log } from '@roost/service/log';

import { outboxHandlers, type OutboxHandlers } from '../handlers/admin/outbox.ts';
import { Backlog, type BacklogLimits } from './backlog.ts';
import { observeOutbox, type OutboxEvents, outboxEvents } from './events.ts';
import type { Faults } from './faults.ts';
import { Groups } from './groups.ts';
import { Lanes } from './lanes.ts';
import { Post, type PostPorts } from '../handlers/post.ts';
import { Receiver } from './receiver.ts';
import { type LaneTiming, laneTiming } from './timing.ts';
import { keepUp } from './upkeep.ts';

export interface OutboxLimits extends BacklogLimits {
  /** What a peer did not take for so long is given up. */
  readonly retryDays: number;
}

export const outboxDefaults: OutboxLimits = {
  rowsMax: 100_000,
  bytesMax: 1_024 * 2 ** 20,
  retryDays: 7,
};

export interface OutboxConfig {
  readonly domain: Domain;
  /** 32 bytes: the secret of this service. */
  readonly secretKey: Uint8Array;
  readonly outbox: OutboxLimits;
  readonly timing?: Partial<LaneTiming> | undefined;
}

export interface OutboxPorts extends Pick<PostPorts, 'policy' | 'peers' | 'channels' | 'keys'> {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly log: Log;
  /** From our own DS: what it has for other homeservers. */
  readonly federationBus: Bus;
  /** Of the gateway: rings where another replica has something to carry. */
  readonly bell: Bell;
  /** 32 bytes, shared with the DS. */
  readonly transportKey: Uint8Array;
  /** Names this replica, and is drawn otherwise; for one that is alone, so that it has its leases at once. */
  readonly replica?: string | undefined;
  readonly faults?: Faults | undefined;
}

/** What goes out to other homeservers. */
export interface Outbox {
  readonly admin: OutboxHandlers;
  /** A peer was heard of: what waits for it is tried at once, if that had been given up for a while. */
  heard(domain: Domain): void;
  /** Tries what waits for a peer now, whatever pause it was given. */
  retry(domain: Domain): Promise<void>;
  close(): Promise<void>;
}

/** Takes from the DS what is for other homeservers, and brings it there. */
export function openOutbox(config: OutboxConfig, ports: OutboxPorts): Outbox {
  const { domain: home, secretKey, outbox: limits } = config;
  const { bell, clock, crypto, database, federationBus, log, transportKey } = ports;
  const { faults = () => {}, replica = toHex(crypto.random(16)) } = ports;
  const events = outboxEvents(log);
  const groups = new Groups({ home, crypto, clock, secretKey, transportKey });
  const timing = { ...laneTiming, ...config.timing };
  const backlog = new Backlog(database, limits, timing.measureMs);
  const lanes = new Lanes({
    ...{ database, clock, crypto, groups, events, faults, bell, replica },
    post: new Post({ ...ports, home }),
    timing,
  });
  const receiver = new Receiver({
    ...{ home, database, clock, groups, backlog, events, faults },
    wake: (destination) => lanes.wake(destination),
  });
  const served = federationBus.serve(async (batch) => await receiver.receive(batch));
  const observed = observeOutbox({
    weights: () => backlog.weights,
    lanes: () => lanes.counts,
    isFull: (weight) => backlog.isFull(weight),
    now: () => clock.now(),
  });
  const stop = new AbortController();
  const working = keepUp({ database, clock, events }, limits.retryDays, stop.signal);
  const retry = async (destination: Domain): Promise<void> =>
    await lanes.again(destination, { isForced: true });
  return {
    admin: outboxHandlers({ database, retry }),
    heard: hearing(lanes, events),
    retry,
    async close() {
      stop.abort();
      observed[Symbol.dispose]();
      await served.close();
      await Promise.all([working, backlog.close(), lanes.close()]);
    },
  };
}

/** Every envelope says that its source is there: asking whether that is news once a second is enough. */
function hearing(lanes: Lanes, events: OutboxEvents): (domain: Domain) => void {
  const asked = new Map<Domain, number>();
  return (domain) => {
    const nowMs = performance.now();
    if (nowMs - (asked.get(domain) ?? -SECOND_MS) < SECOND_MS) return;
    if (asked.size >= HEARD_MAX) asked.clear();
    asked.set(domain, nowMs);
    lanes
      .again(domain, { isForced: false })
      .catch((error: unknown) => events.troubled('lane', error));
  };
}

const HEARD_MAX = 10_000;
