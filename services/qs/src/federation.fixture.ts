import { MemoryLimiter } from '@roost/bus/memory';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Clock } from '@roost/core/time';

import type { QueueLimits } from './queue-limits.ts';

/** A bucket for each (homeserver, queue), as the AAS has them; small ones. */
export class SmallBuckets implements QueueLimits {
  readonly bucket = { capacity: 4, refillPerSecond: 1 };
  /** As where the AAS or its Redis does not answer. */
  isAway = false;
  asked = 0;
  readonly #limiter: MemoryLimiter;

  constructor(clock: Clock) {
    this.#limiter = new MemoryLimiter(clock);
  }

  async take(...[source, shares]: Parameters<QueueLimits['take']>): Promise<boolean[]> {
    this.asked++;
    if (this.isAway) throw new Failure('UNAVAILABLE', 'nobody can count at the moment');
    const taken = shares.map(async ({ tag, cost }) => {
      return (await this.#limiter.take(`${source} ${toHex(tag)}`, cost, this.bucket)).ok;
    });
    return await Promise.all(taken);
  }
}
