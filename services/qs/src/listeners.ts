import type { QueueRun } from '@roost/bus/queue';
import type { Bell } from '@roost/bus/ports';
import { begin, isTraced, traceHere, untraced, within, type Running } from '@roost/bus/trace';
import { Failure } from '@roost/core/failure';
import { sleep } from '@roost/core/time';
import { queueUnknown } from './records.ts';

/** After so long every replica knows that somebody listens here; what it stored before is found by another look. */
const KNOWN_AFTER_MS = 500;

/** Bytes that are kept for a listener that reads slowly; beyond, it reads from the database. */
const PUSHED_BYTES_MAX = 1024 * 1024;

/**
 * Who listens to which queue in this process. What was just stored is handed to a listener that stands
 * exactly there; any other is told that it is behind, and reads.
 */
export class Listeners {
  readonly #bell: Bell;
  readonly #countMax: number;
  readonly #seats = new Map<bigint, Seat>();
  #isDraining = false;
  #onEmpty: (() => void) | undefined;

  constructor(bell: Bell, countMax: number) {
    this.#bell = bell;
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#seats.size;
  }

  /** Takes the place of an earlier listener, which hears so. `number` is the listener's own. */
  sit(clientId: bigint, number: bigint, position: bigint): Seat {
    if (this.#isDraining) throw ENDINGS.drained();
    const earlier = this.#seats.get(clientId);
    if (earlier !== undefined && earlier.number > number) throw ENDINGS.replaced();
    if (earlier === undefined && this.#seats.size >= this.#countMax) {
      throw new Failure('UNAVAILABLE', 'this process has as many listeners as it takes');
    }
    earlier?.end('replaced');
    const bellRope = this.#bell.listen(bellKey(clientId), () => seat.fallBehind());
    // Nobody spoke: what is found then is not of the trace in which the listener came.
    const look = (): void => within(untraced, () => seat.fallBehind());
    const lookAgain = setTimeout(look, KNOWN_AFTER_MS).unref();
    const seat: Seat = new Seat(number, position, () => {
      clearTimeout(lookAgain);
      bellRope.close();
      if (this.#seats.get(clientId) === seat) this.#seats.delete(clientId);
      if (this.#seats.size === 0) this.#onEmpty?.();
    });
    this.#seats.set(clientId, seat);
    // A listener in another process looks up, and finds that it was replaced.
    within(untraced, () => this.#bell.ring(bellKey(clientId)));
    return seat;
  }

  /** After commit. Whoever listens in another process is woken by the bell. */
  deliver(clientId: bigint, runs: readonly QueueRun[]): void {
    const seat = this.#seats.get(clientId);
    if (seat === undefined || seat.isEnded) this.#bell.ring(bellKey(clientId));
    else seat.offer(runs);
  }

  /** Whether anybody listens to a queue, in whichever process. */
  async isHeard(clientId: bigint): Promise<boolean> {
    return this.#seats.has(clientId) || (await this.#bell.isHeard(bellKey(clientId)));
  }

  clientIds(): bigint[] {
    return [...this.#seats.keys()];
  }

  /** Backs up lost rings: what the database says of the end of a queue, and who listens to it. */
  compare(clientId: bigint, next: bigint, listener: bigint): void {
    const seat = this.#seats.get(clientId);
    if (seat === undefined) return;
    if (listener > seat.number) this.leaveTo(clientId, listener);
    else if (next > seat.position) seat.fallBehind();
  }

  /** Somebody listens elsewhere by a higher number, and looks for what was given to our seat meanwhile. */
  leaveTo(clientId: bigint, listener: bigint): void {
    const seat = this.#seats.get(clientId);
    if (seat === undefined || seat.number >= listener) return;
    seat.end('replaced');
    this.#bell.ring(bellKey(clientId));
  }

  /** Asks all to connect elsewhere; nobody is let in from now on. */
  drain(): void {
    this.#isDraining = true;
    for (const seat of this.#seats.values()) seat.notice();
  }

  /** The client record is gone; whoever listens in another process looks, and finds that. */
  dismiss(clientId: bigint): void {
    this.#seats.get(clientId)?.end('deleted');
    this.#bell.ring(bellKey(clientId));
  }

  /** Resolves when all have left, or the time is up. */
  async emptied(withinMs: number): Promise<void> {
    const stop = new AbortController();
    this.#onEmpty = () => stop.abort();
    await sleep(withinMs, stop.signal);
  }

  endAll(): void {
    for (const seat of this.#seats.values()) seat.end('drained');
  }
}

/** The place of one listener. */
export class Seat implements Disposable {
  readonly number: bigint;
  readonly #leave: () => void;
  /** The sequence after the last that was pushed or read. */
  #position: bigint;
  #pushed: QueueRun[] = [];
  #pushedBytes = 0;
  #isBehind = true;
  #isReading = false;
  #isNoticed = false;
  #ended: Ending | undefined;
  #wake: (() => void) | undefined;
  #push: Running | undefined;

  constructor(number: bigint, position: bigint, leave: () => void) {
    this.number = number;
    this.#position = position;
    this.#leave = leave;
  }

  get position(): bigint {
    return this.#position;
  }

  /** Takes runs that begin exactly here, if there is room; else the listener has to read. */
  offer(runs: readonly QueueRun[]): void {
    const [first] = runs;
    if (first === undefined) return;
    const isNext = first.firstSequence === this.#position;
    if (this.#isReading || this.#isBehind || !isNext || this.#pushedBytes > PUSHED_BYTES_MAX) {
      this.fallBehind();
      return;
    }
    this.#push ??= pushHere();
    for (const run of runs) {
      this.#pushed.push(run);
      this.#pushedBytes += run.ciphertext.length;
      this.#position += BigInt(run.count);
    }
    this.#wake?.();
  }

  fallBehind(): void {
    this.#isBehind = true;
    this.#push ??= pushHere();
    this.#wake?.();
  }

  /** What shows that the next messages were handed on, where what caused them is shown. */
  takePush(): Running | undefined {
    const push = this.#push;
    this.#push = undefined;
    return push;
  }

  notice(): void {
    this.#isNoticed = true;
    this.#wake?.();
  }

  end(why: Ending): void {
    this.#ended ??= why;
    this.#wake?.();
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Throws where this listener is to stop. */
  assertSeated(): void {
    if (this.#ended !== undefined) throw ENDINGS[this.#ended]();
  }

  /** Whether to ask the listener, once, to connect elsewhere. */
  takeNotice(): boolean {
    const isNoticed = this.#isNoticed;
    this.#isNoticed = false;
    return isNoticed;
  }

  /** What comes next: what was pushed, or else, where it is behind, a page of `read`. */
  async take(read: (position: bigint) => Promise<readonly QueueRun[]>) {
    if (this.#pushed.length > 0) {
      const pushed = this.#pushed;
      this.#pushed = [];
      this.#pushedBytes = 0;
      return pushed;
    }
    if (!this.#isBehind) return [];
    // Cleared before the read: what comes meanwhile sets it again.
    this.#isBehind = false;
    this.#isReading = true;
    try {
      const page = await read(this.#position);
      const last = page.at(-1);
      if (last !== undefined) {
        this.#position = last.firstSequence + BigInt(last.count);
        // There may be more than fits into a page.
        this.#isBehind = true;
      }
      return page;
    } finally {
      this.#isReading = false;
    }
  }

  /** Waits until there is something to do; false where the time is up before. */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    const isIdle = this.#pushed.length === 0 && !this.#isBehind && !this.#isNoticed;
    if (!isIdle || this.#ended !== undefined || signal.aborted) return true;
    // It was woken for what it had read already.
    this.#push = undefined;
    return await new Promise((resolve) => {
      const done = (isWoken: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#wake = undefined;
        resolve(isWoken);
      };
      const wake = (): void => done(true);
      const timer = setTimeout(() => done(false), ms);
      signal.addEventListener('abort', wake);
      this.#wake = wake;
    });
  }

  [Symbol.dispose](): void {
    this.#leave();
  }
}

const ENDINGS = {
  replaced: () => new Failure('LISTENER_REPLACED', 'another listener took over this queue'),
  drained: () => new Failure('DRAINING', 'this process is being drained: connect again'),
  deleted: queueUnknown,
};

type Ending = keyof typeof ENDINGS;

/** Begins where something is stored, and ends where it was written to the listener. */
function pushHere(): Running | undefined {
  return isTraced(traceHere()) ? begin('qs push', 'sends') : undefined;
}

function bellKey(clientId: bigint): string {
  return `queue.${clientId}.bell`;
}
