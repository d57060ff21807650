import type { Role } from '@roost/mls/room';
import { type Ledger, shelf, type Turn } from './ledger.ts';
import { numbered } from './task.ts';

/** What happens to a client. `chat` is a group's id in text, names are `name@domain`. */
export type ClientEvent =
  | {
      readonly kind: 'message';
      readonly chat: string;
      /** The line's in the history of the chat. */
      readonly id: string;
      readonly sender: string;
      readonly text: string;
      readonly acceptedAtMs: number;
    }
  /** Somebody asks to connect. */
  | { readonly kind: 'request'; readonly name: string }
  /** Who was asked accepted, or we did: the two can talk. */
  | { readonly kind: 'connected'; readonly name: string; readonly chat: string }
  | { readonly kind: 'rejected'; readonly name: string }
  /** We were added to a group. */
  | { readonly kind: 'joined'; readonly chat: string; readonly title: string; readonly by: string }
  | {
      readonly kind: 'added' | 'removed';
      readonly chat: string;
      readonly name: string;
      readonly by: string;
    }
  | { readonly kind: 'left' | 'entered'; readonly chat: string; readonly name: string }
  /** Somebody was taken out and is kept out. */
  | { readonly kind: 'banned'; readonly chat: string; readonly name: string; readonly by: string }
  | {
      readonly kind: 'role';
      readonly chat: string;
      readonly name: string;
      readonly role: Role;
      readonly by: string;
    }
  /** A line is no longer there; by its author or by somebody whose role may. */
  | { readonly kind: 'deleted'; readonly chat: string; readonly id: string; readonly by: string }
  /** Somebody began a conversation of the same people as another: that one goes on. */
  | { readonly kind: 'surfaced'; readonly chat: string; readonly by: string }
  /** What roles may do in a room is other than it was. */
  | { readonly kind: 'policy'; readonly chat: string; readonly by: string }
  /** The hub proposed a policy that no template allows; it is not taken. */
  | { readonly kind: 'policy-refused'; readonly chat: string }
  /** The hub let something pass that the policy of the room is against; nothing is sent there. */
  | { readonly kind: 'at-odds'; readonly chat: string; readonly sentence: string }
  /** We are no longer in a group; `by` where somebody else saw to it. */
  | { readonly kind: 'gone'; readonly chat: string; readonly title: string; readonly by?: string }
  | { readonly kind: 'title'; readonly chat: string; readonly title: string; readonly by: string }
  /** We came back into a group after losing its thread: what was said meanwhile is lost to us. */
  | { readonly kind: 'returned'; readonly chat: string }
  /** A member is not who it says; nothing is sent until it is removed. */
  | { readonly kind: 'forged'; readonly chat: string }
  /**
   * A member is of a homeserver that ours does not speak with, so that nobody can tell who it is: what is written
   * there waits until it can be told, or until the member has left.
   */
  | { readonly kind: 'unjudged'; readonly chat: string; readonly domain: string }
  /** A group that somebody added us to was refused. */
  | { readonly kind: 'group-refused'; readonly sentence: string }
  /** So many messages were lost on their way, of any group. */
  | { readonly kind: 'lost'; readonly count: number }
  /** Something that was asked for was refused; `text` where it was a message. */
  | {
      readonly kind: 'failed';
      readonly chat?: string;
      readonly sentence: string;
      readonly text?: string;
    }
  /** Another homeserver does not answer, or does again: what is for it waits and goes on by itself. */
  | { readonly kind: 'peer-away' | 'peer-back'; readonly domain: string }
  /** The homeserver does not answer, or does again. Neither is kept over a restart. */
  | { readonly kind: 'away' | 'back' };

const news = shelf<ClientEvent>('news/');
export const newsShelves = [news];

/**
 * The events for whoever uses the client. They are written in the turn that made them, and taken
 * off when the next one is asked for: none is lost by a kill.
 */
export class News {
  readonly #ledger: Ledger;
  readonly #passing: ClientEvent[] = [];
  /** Told, but still written down: the disk may be full. */
  readonly #told = new Set<string>();
  #wake: () => void = () => undefined;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  put(turn: Turn, event: ClientEvent): void {
    turn.put(news, numbered(turn, 'news'), event);
    turn.after(() => this.#wake());
  }

  /** Tells what is of no use after a restart. */
  pass(event: ClientEvent): void {
    this.#passing.push(event);
    this.#wake();
  }

  /** What nobody took yet. */
  unread(): ClientEvent[] {
    return [...this.#passing, ...this.#ledger.list(news).map(([, event]) => event)];
  }

  /** One reader at a time. */
  async *follow(signal: AbortSignal): AsyncGenerator<ClientEvent> {
    const stop = (): void => this.#wake();
    signal.addEventListener('abort', stop);
    try {
      while (!signal.aborted) {
        const woken = new Promise<void>((resolve) => (this.#wake = resolve));
        for (const event of this.#passing.splice(0)) yield event;
        const waiting = this.#ledger.list(news).filter(([key]) => !this.#told.has(key));
        for (const [key, event] of waiting) {
          if (signal.aborted) return;
          yield event;
          await this.#forget(key);
        }
        if (waiting.length === 0 && this.#passing.length === 0) await woken;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Takes an event off with those that could not be taken off before. */
  async #forget(key: string): Promise<void> {
    this.#told.add(key);
    const told = [...this.#told];
    try {
      await this.#ledger.turn((turn) => {
        for (const each of told) turn.delete(news, each);
      });
      for (const each of told) this.#told.delete(each);
    } catch {
      // Nothing is told twice by this process; after a restart some may be.
    }
  }
}
