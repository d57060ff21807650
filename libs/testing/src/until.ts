import { sleep } from '@roost/core/time';

const EVERY_MS = 5;

/** Waits for something, as long as a busy machine may take; gives how long that was, in ms. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  withinMs = 60_000,
): Promise<number> {
  const began = performance.now();
  while (!(await isSo())) {
    if (performance.now() - began > withinMs) throw new Error('it did not become so');
    await sleep(EVERY_MS);
  }
  return performance.now() - began;
}
