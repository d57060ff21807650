import { type Clock, DAY_MS, MINUTE_MS, sleep } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';

import type { OutboxEvents } from './events.ts';
import { forgetGone } from './store/gone.ts';
import { buryOlder, forgetHeads, forgetLetters } from './store/letters.ts';

export interface UpkeepPorts {
  readonly database: Database;
  readonly clock: Clock;
  readonly events: Pick<OutboxEvents, 'buried' | 'troubled'>;
}

const ROWS_MAX = 256;
const LETTER_DAYS = 30;
/** An answer to the DS may be lost, so what it was told is told again for a while. */
const TOLD_MS = DAY_MS;
const GONE_DAYS = 90;

/** Every minute, gives up what waited for too long, and forgets what nobody needs. */
export async function keepUp(
  ports: UpkeepPorts,
  retryDays: number,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(MINUTE_MS, signal);
    if (signal.aborted) return;
    await tidyOutbox(ports, retryDays).catch((error: unknown) =>
      ports.events.troubled('upkeep', error),
    );
  }
}

export async function tidyOutbox(
  { database, clock, events }: UpkeepPorts,
  retryDays: number,
): Promise<void> {
  const nowMs = clock.now();
  const beforeMs = nowMs - retryDays * DAY_MS;
  for (let buried = ROWS_MAX; buried === ROWS_MAX;) {
    buried = await buryOlder(database, { beforeMs, nowMs }, ROWS_MAX);
    events.buried('EXPIRED', buried);
  }
  await forgetHeads(database, BigInt(beforeMs));
  await forgetLetters(database, BigInt(nowMs - LETTER_DAYS * DAY_MS));
  await forgetGone(database, BigInt(nowMs - TOLD_MS), BigInt(nowMs - GONE_DAYS * DAY_MS));
}
