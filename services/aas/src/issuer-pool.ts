import { Worker } from 'node:worker_threads';
import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';

/** A private key in DER, and what it is called. */
export interface SigningKey {
  readonly name: string;
  readonly pkcs8: Uint8Array;
}

export interface SignRequest {
  readonly id: number;
  readonly key: SigningKey;
  readonly blinded: Uint8Array<ArrayBuffer>;
}

export interface SignResponse {
  readonly id: number;
  readonly signatures: Uint8Array<ArrayBuffer> | undefined;
}

interface Thread {
  readonly worker: Worker;
  working: number;
}

interface Waiting {
  readonly thread: Thread;
  readonly resolve: (signatures: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The threads that issue, for all keys: 0.36 ms of CPU a token, off the main thread. How much they are
 * given at once is not decided here (`Issuance`).
 */
export class IssuerPool implements AsyncDisposable {
  readonly #threads: readonly Thread[];
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;

  constructor(threads: number) {
    assert(threads >= 1, 'a pool has a thread');
    this.#threads = Array.from({ length: threads }, () => ({ worker: this.#start(), working: 0 }));
  }

  /** Signs 1 to 100 blinded messages of 256 bytes, one after the other. */
  async sign(key: SigningKey, blinded: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const id = this.#next++;
    const thread = this.#threads.toSorted((a, b) => a.working - b.working)[0];
    assert(thread !== undefined, 'a pool has a thread');
    const own = Uint8Array.from(blinded);
    const request: SignRequest = { id, key, blinded: own };
    thread.working++;
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { thread, resolve, reject });
      thread.worker.postMessage(request, [own.buffer]);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map(async ({ worker }) => await worker.terminate()));
    this.#failAll('the issuer is being stopped');
  }

  #start(): Worker {
    // A worker is an entry point of its own: in a bundle it lies beside us as JavaScript.
    const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./issuer-worker.${suffix}`, import.meta.url));
    worker.unref();
    worker.on('message', ({ id, signatures }: SignResponse) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (waiting !== undefined) waiting.thread.working--;
      if (signatures !== undefined) waiting?.resolve(signatures);
      else waiting?.reject(new Error('a blinded message could not be signed'));
    });
    worker.on('error', () => this.#failAll('an issuing thread ended'));
    return worker;
  }

  #failAll(message: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Failure('UNAVAILABLE', message));
    this.#waiting.clear();
  }
}
