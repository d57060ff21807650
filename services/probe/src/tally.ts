import type { News } from './heard.ts';

interface Reader {
  sent: number;
  heard: number;
}

/** Who was sent how much, and has heard how much of it: numbers in a row, each once. */
export class Tally {
  readonly #readers = new Map<number, Reader>();
  readonly #wrong: string[] = [];
  readonly #sentAt = new Map<string, number>();
  #slowestMs = 0;

  /** The next text for a reader. */
  next(to: number): string {
    const reader = this.#reader(to);
    reader.sent += 1;
    const text = String(reader.sent);
    this.#sentAt.set(`${to}/${text}`, Date.now());
    return text;
  }

  heard(at: number, event: News): void {
    // What a client says of its own accord that something did not arrive.
    if (['lost', 'refused', 'at-odds', 'forged'].includes(event.kind)) {
      this.#wrong.push(`user ${at} was told "${event.kind}"`);
    }
    if (event.kind !== 'message') return;
    const reader = this.#reader(at);
    const number = Number(event.text);
    if (number !== reader.heard + 1) {
      this.#wrong.push(`user ${at} heard ${event.text} after ${reader.heard}`);
    }
    reader.heard = number;
    const key = `${at}/${event.text}`;
    this.#slowestMs = Math.max(this.#slowestMs, Date.now() - (this.#sentAt.get(key) ?? Date.now()));
    this.#sentAt.delete(key);
  }

  /** Sent, and not heard. */
  get missing(): number {
    return this.#all().reduce((sum, { sent, heard }) => sum + sent - heard, 0);
  }

  /** All that should not have been; empty if everything came, once and in its order. */
  wrong(): string[] {
    const missing = this.missing === 0 ? [] : [`${this.missing} messages never came`];
    const nothing = this.#all().some(({ sent }) => sent > 0) ? [] : ['nothing was sent'];
    return [...this.#wrong, ...missing, ...nothing];
  }

  /** One line of progress; the slowest since the last. */
  line(): string {
    const sent = this.#all().reduce((sum, reader) => sum + reader.sent, 0);
    const line = `sent ${sent}, under way ${this.missing}, wrong ${this.#wrong.length}, slowest ${this.#slowestMs} ms`;
    this.#slowestMs = 0;
    return line;
  }

  #all(): Reader[] {
    return [...this.#readers.values()];
  }

  #reader(of: number): Reader {
    const found = this.#readers.get(of) ?? { sent: 0, heard: 0 };
    this.#readers.set(of, found);
    return found;
  }
}
