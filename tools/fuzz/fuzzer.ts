import { randomOf } from '../../e2e/src/random.ts';
import type { Coverage } from './coverage.ts';
import { mutate, type Random } from '../../e2e/src/mutate.ts';

export interface Finding {
  readonly bytes: Uint8Array;
  readonly why: string;
}

/** An input of up to 4 KiB is judged in this time, also on a busy machine: the best of three counts. */
const SLOW_MS = 100;
const TRIES = 3;
const INPUT_BYTES_MAX = 4_096;
const FINDINGS_MAX = 5;

/** Mutates what took it to new branches, and keeps what does so again. */
export class Fuzzer {
  readonly kept: Uint8Array[] = [];
  runs = 0;
  taken = 0;
  readonly #judge: (bytes: Uint8Array) => 'taken' | 'refused';
  readonly #coverage: Coverage;
  readonly #random: Random;
  readonly #pool: Uint8Array[] = [];
  readonly #findings = new Map<string, Finding>();

  constructor(
    judge: (bytes: Uint8Array) => 'taken' | 'refused',
    { coverage, seed }: { readonly coverage: Coverage; readonly seed: number },
  ) {
    this.#judge = judge;
    this.#coverage = coverage;
    this.#random = randomOf(seed);
  }

  /** Runs every seed at least, then mutants until the time is over; one finding for each reason. */
  run(seeds: readonly Uint8Array[], ms: number): readonly Finding[] {
    const end = performance.now() + ms;
    for (const seed of seeds) {
      this.#try(seed);
      this.#pool.push(seed);
    }
    if (this.#pool.length === 0) this.#pool.push(new Uint8Array(0));
    while (performance.now() < end && this.#findings.size < FINDINGS_MAX) {
      const input = this.#pick();
      const mutant = mutate(this.#random, input, this.#pick());
      if (this.#try(mutant)) {
        this.#pool.push(mutant);
        this.kept.push(mutant);
      }
    }
    return [...this.#findings.values()];
  }

  /** Whether it went where none has been. */
  #try(bytes: Uint8Array): boolean {
    const began = performance.now();
    try {
      this.runs += 1;
      if (this.#judge(bytes) === 'taken') this.taken += 1;
    } catch (error) {
      const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const [, where = ''] = why.split('\n');
      this.#note(where, { bytes, why });
    }
    const isSlow = performance.now() - began > SLOW_MS && bytes.length <= INPUT_BYTES_MAX;
    if (isSlow && this.#bestMs(bytes) > SLOW_MS) {
      this.#note('slow', { bytes, why: `it takes longer than ${SLOW_MS} ms` });
    }
    return this.#coverage.take();
  }

  #note(kind: string, finding: Finding): void {
    if (!this.#findings.has(kind)) this.#findings.set(kind, finding);
  }

  #bestMs(bytes: Uint8Array): number {
    let best = Infinity;
    for (let count = 0; count < TRIES; count++) {
      const began = performance.now();
      try {
        this.#judge(bytes);
      } catch {
        // Told already: here only the time counts.
      }
      best = Math.min(best, performance.now() - began);
    }
    return best;
  }

  #pick(): Uint8Array {
    // The youngest are where something new is; squaring prefers them.
    const at = Math.floor(Math.sqrt(this.#random()) * this.#pool.length);
    return this.#pool[at] ?? new Uint8Array(0);
  }
}
