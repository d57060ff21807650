import { SECOND_MS } from '@roost/core/time';

/** How long the page that has it gets to close what it has open. */
const HANDOVER_MS = 3 * SECOND_MS;

/** A turn at something that one page of a browser has at a time. */
export interface Turnstile extends Disposable {
  /** Resolves when a newer page asks for it, or has taken it without being answered. */
  readonly wanted: Promise<void>;
}

/**
 * Takes the turn: from a page that has it by asking, and from one that does not answer (the browser froze it)
 * without. Whoever came later gets it. Where the browser has no locks (before 2022) the asking is all there is.
 */
export async function takeTurn(name: string): Promise<Turnstile> {
  const sinceMs = Date.now();
  const channel = new BroadcastChannel(name);
  const { promise: wanted, resolve: want } = Promise.withResolvers<void>();
  channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    if (typeof data === 'number' && data > sinceMs) want();
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has one origin
  const ask = (): void => channel.postMessage(sinceMs);
  try {
    const unlock = await takeLock(name, ask, want);
    const leave = (): void => {
      channel.close();
      unlock();
    };
    return { wanted, [Symbol.dispose]: leave };
  } catch (error) {
    channel.close();
    throw error;
  }
}

type Unlock = () => void;

async function takeLock(name: string, ask: () => void, lost: () => void): Promise<Unlock> {
  const locks = 'locks' in globalThis.navigator ? globalThis.navigator.locks : undefined;
  if (locks === undefined) {
    ask();
    return nothing;
  }
  const hold = async (options: LockOptions): Promise<Unlock | undefined> =>
    new Promise((resolve, reject) => {
      let isHeld = false;
      const held = locks.request(name, options, (granted) => {
        if (granted === null) return resolve(undefined);
        isHeld = true;
        return new Promise<void>((release) => resolve(release));
      });
      held.catch((error: unknown) => {
        // It was ours, and a newer page did not wait for us.
        if (isHeld) lost();
        else reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
  const free = await hold({ ifAvailable: true });
  if (free !== undefined) return free;
  ask();
  const patience = AbortSignal.timeout(HANDOVER_MS);
  try {
    return (await hold({ signal: patience })) ?? nothing;
  } catch (error) {
    if (!patience.aborted) throw error;
    return (await hold({ steal: true })) ?? nothing;
  }
}

const nothing: Unlock = () => undefined;
