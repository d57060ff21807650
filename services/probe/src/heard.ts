import type { Client } from '@roost/client/client';
import { CannotStart } from '@roost/core/cannot-start';

export type News = ReturnType<Client['events']> extends AsyncIterable<infer Event> ? Event : never;

const STEP_MS = 60_000;

/** What a client was told so far, in its order. */
export class Heard {
  readonly #news: News[] = [];
  readonly #told: ((event: News) => void) | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(client: Client, told?: (event: News) => void) {
    this.#told = told;
    // A client that is closed tells nothing more: whoever waits for it says so by itself.
    this.#follow(client).catch(() => undefined);
  }

  /** What was told, or will be soon. */
  async hears<Kind extends News['kind']>(
    kind: Kind,
    is: (event: Extract<News, { kind: Kind }>) => boolean,
    patienceMs = STEP_MS,
  ): Promise<Extract<News, { kind: Kind }>> {
    const isIt = (event: News): event is Extract<News, { kind: Kind }> =>
      event.kind === kind && is(event as Extract<News, { kind: Kind }>);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new CannotStart(nothing(kind, patienceMs))),
      patienceMs,
    );
    try {
      for (;;) {
        const found = this.#news.find(isIt);
        if (found !== undefined) return found;
        await Promise.race([this.#wake.promise, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #follow(client: Client): Promise<void> {
    for await (const event of client.events()) {
      if (this.#told === undefined || event.kind !== 'message') this.#news.push(event);
      this.#told?.(event);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    }
  }
}

function nothing(kind: string, patienceMs: number): string {
  return `nothing of the kind "${kind}" came within ${patienceMs / 1_000} s`;
}
