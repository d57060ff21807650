import {
  begin,
  isSameTrace,
  isTraced,
  traceHere,
  untraced,
  within,
  type Running,
  type Trace,
} from '@roost/bus/trace';
import type { OpenedEvent } from './deliveries.ts';
import type { Entry } from './queue-writer.ts';

/** Of a message to many, so many listeners are shown. */
const LISTENERS_MAX = 16;

/** Which events of a batch are parts of traces, and what is shown of each: that it was stored, and pushed. */
export class Shown {
  readonly #running: Running[] = [];
  readonly #byEntry = new Map<Entry, Trace>();
  #listeners = 0;

  constructor(opened: readonly OpenedEvent[]) {
    const here = traceHere();
    for (const { trace, deliveries = [] } of opened) {
      if (trace === undefined || !isTraced(trace)) continue;
      // The batch came as part of one of them: that one is told as it happened.
      const running = begin('qs store', 'receives', isSameTrace(trace, here) ? here : trace);
      this.#running.push(running);
      for (const { entry } of deliveries) this.#byEntry.set(entry, running.trace);
    }
  }

  async storing<T>(store: () => Promise<T>): Promise<T> {
    const [first] = this.#running;
    if (first === undefined) return await store();
    try {
      const value = await within(first.trace, store);
      for (const each of this.#running) each.end();
      return value;
    } catch (error) {
      for (const each of this.#running) each.end(error);
      throw error;
    }
  }

  /** Where it is shown that a listener gets these; of several messages at once, with the first. */
  traceOf(entries: readonly Entry[] = []): Trace {
    if (this.#byEntry.size === 0 || this.#listeners >= LISTENERS_MAX) return untraced;
    const traced = entries.map((entry) => this.#byEntry.get(entry)).find(Boolean);
    if (traced === undefined) return untraced;
    this.#listeners++;
    return traced;
  }
}
