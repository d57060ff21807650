import type { Fault } from './fault.ts';
import { bus } from './strikes/bus.ts';
import { disks } from './strikes/disk.ts';
import { edge } from './strikes/edge.ts';
import { kills } from './strikes/kills.ts';
import { listeners } from './strikes/listeners.ts';
import { nats, partitions } from './strikes/nats.ts';
import { points } from './strikes/points.ts';
import { races } from './strikes/races.ts';
import { stores } from './strikes/stores.ts';

/** In this order. */
export const FAULTS: readonly Fault[] = [
  ...[...kills, ...points, ...nats, ...partitions, ...stores, ...disks],
  ...[...bus, ...edge, ...listeners, ...races],
];
