import { toHex, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Uuid } from '@roost/core/ids';
import { sleep } from '@roost/core/time';
import type { Bell } from '@roost/bus/ports';
import type { Crypto } from '@roost/crypto/crypto';

const KEEP_ALIVE_MS = 25_000;
/** After so long every replica knows that somebody listens here. */
const KNOWN_AFTER_MS = 500;
/** Within how long listeners of a process that is drained come back, each when it likes. */
export const RECONNECT_WITHIN_MS = 5_000;

/** What a listener hears next. */
export type Heard = 'rung' | 'quiet' | 'draining';

/**
 * Who listens to which queue in this process. A newer listener ends the older one: a client that lost
 * its connection comes back before we notice.
 */
export class Listeners {
  readonly #bell: Bell;
  readonly #current = new Map<string, () => void>();
  readonly #draining = new AbortController();

  constructor(bell: Bell) {
    this.#bell = bell;
  }

  /** Listens to a key until the signal is aborted: yields whenever it is time to look or to say so. */
  async *listen(key: string, signal: AbortSignal): AsyncGenerator<Heard, void> {
    const replaced = new AbortController();
    const replace = (): void => replaced.abort();
    this.#current.get(key)?.();
    this.#current.set(key, replace);

    let isRung = false;
    let wake = new AbortController();
    const heard = this.#bell.listen(key, () => {
      isRung = true;
      wake.abort();
    });
    // Whoever listens at another replica looks, and finds that it was replaced.
    this.#bell.ring(key);
    // What another replica stored before it knew of us is found by another look.
    const lookAgain = setTimeout(() => {
      isRung = true;
      wake.abort();
    }, KNOWN_AFTER_MS).unref();
    try {
      // What came before the bell was heard is found by looking once.
      yield 'rung';
      for (;;) {
        if (!isRung) {
          await sleep(
            KEEP_ALIVE_MS,
            AbortSignal.any([
              ...[wake.signal, signal],
              ...[replaced.signal, this.#draining.signal],
            ]),
          );
        }
        if (signal.aborted) return;
        if (replaced.signal.aborted) {
          throw listenerReplaced();
        }
        if (this.#draining.signal.aborted) {
          yield 'draining';
          return;
        }
        const was = isRung;
        isRung = false;
        wake = new AbortController();
        yield was ? 'rung' : 'quiet';
      }
    } finally {
      clearTimeout(lookAgain);
      heard.close();
      if (this.#current.get(key) === replace) this.#current.delete(key);
    }
  }

  /** Tells every listener to come back elsewhere. */
  drain(): void {
    this.#draining.abort();
  }
}

/** What the bell of a client's direct queue is called. */
export function bellOf(crypto: Crypto, client: Uuid): string {
  return `direct.${toHex(crypto.sha256(utf8(client)))}`;
}

export function listenerReplaced(): Failure {
  return new Failure('LISTENER_REPLACED', 'another listener took over this queue');
}
