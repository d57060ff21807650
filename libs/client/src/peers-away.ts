import type { News } from './news.ts';

/** Which other homeservers are waited for, and by which lanes: each is told of once, and once again. */
export class PeersAway {
  readonly #news: Pick<News, 'pass'>;
  readonly #waiting = new Map<string, string>();

  constructor(news: Pick<News, 'pass'>) {
    this.#news = news;
  }

  /** A lane waits for a homeserver, or for none any more. */
  note(lane: string, domain: string | undefined): void {
    const before = this.#waiting.get(lane);
    if (before === domain) return;
    if (domain !== undefined && !this.#isWaitedFor(domain)) {
      this.#news.pass({ kind: 'peer-away', domain });
    }
    if (domain === undefined) this.#waiting.delete(lane);
    else this.#waiting.set(lane, domain);
    if (before !== undefined && !this.#isWaitedFor(before)) {
      this.#news.pass({ kind: 'peer-back', domain: before });
    }
  }

  #isWaitedFor(domain: string): boolean {
    return [...this.#waiting.values()].includes(domain);
  }
}
