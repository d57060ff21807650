import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CannotStart } from '@roost/core/cannot-start';
import { sleep } from '@roost/core/time';
import { drain, type Drain, quit } from './drain.ts';

export interface Guard extends Drain {
  /** Envoy reads them once: when they change, it has to start again. */
  readonly certificates: readonly string[];
  readonly lookEveryMs: number;
  /** Edges that see a renewal at once do not all go at once. */
  readonly spreadMs: number;
}

/**
 * Looks after the Envoy beside it: when certificates change it lets it go and ends it, so that whoever started it
 * starts it anew; when it is stopped itself it lets it go, while whoever stops Envoy waits as long.
 */
export async function guard(order: Guard, stop: Promise<unknown>): Promise<void> {
  const stopping = new AbortController();
  const stopped = stop.then(() => stopping.abort());
  const pause = async (ms: number): Promise<void> => {
    await Promise.race([sleep(ms), stopped]);
  };
  let known = await hashOf(order.certificates);
  let seen = known;
  while (!stopping.signal.aborted) {
    await pause(order.lookEveryMs);
    const found = await hashOf(order.certificates);
    // A file that is being written is another one at the next look.
    const isSettled = found === seen;
    seen = found;
    if (stopping.signal.aborted || found === undefined || !isSettled) continue;
    known ??= found;
    if (found === known) continue;
    await pause(Math.random() * order.spreadMs);
    known = found;
    await drain(order);
    await quit(order);
  }
  await drain(order).catch((error: unknown) => {
    // It was faster: there is nothing left to let go.
    if (!(error instanceof CannotStart)) throw error;
  });
}

/** Of all files together; `undefined` where one is not there at the moment. */
async function hashOf(paths: readonly string[]): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for (const path of paths) hash.update(await readFile(path));
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}
