import type { House } from './house.ts';
import type { Row } from './measure.ts';
import type { MadeGroup } from './groups.ts';
import type { QueueClient } from './queues.ts';
import type { Settled } from './settled.ts';

export interface Scenario {
  readonly name: string;
  /** What it measures, for `--help`. */
  readonly about: string;
  readonly run: (bench: Bench) => Promise<readonly Row[]>;
}

/** What scenarios share: made when the first of them asks. */
export interface Bench {
  readonly quick: boolean;
  readonly listeners: number;
  /** What has to go in the end, also where a scenario was stopped in its middle. */
  readonly cleanUp: AsyncDisposableStack;
  readonly progress: (text: string) => void;
  readonly house: () => Promise<House>;
  /** So many clients of the QS at least. */
  readonly queueClients: (count: number) => Promise<readonly QueueClient[]>;
  /** So many groups of a size, made by real members. */
  readonly groups: (size: number, count: number) => Promise<readonly MadeGroup[]>;
  /** A group of a size in which members have committed for a while. */
  readonly settled: (size: number) => Promise<Settled>;
}
