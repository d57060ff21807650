import { assert } from '@roost/core/assert';
import type { Outgoing, Transport } from '@roost/rpc/call';

/** Carries calls for clients, and keeps the last that was paid for. */
export class Purse implements Transport {
  readonly #way: Transport;
  #last: Outgoing | undefined;

  constructor(way: Transport) {
    this.#way = way;
  }

  async unary(call: Outgoing): Promise<Uint8Array> {
    const answer = await this.#way.unary(call);
    if (call.authorization !== undefined) this.#last = call;
    return answer;
  }

  stream(call: Outgoing): AsyncIterable<Uint8Array> {
    return this.#way.stream(call);
  }

  /** Comes once more with the token of the last call that was paid for. */
  lastSpent(): () => Promise<unknown> {
    const last = this.#last;
    assert(last !== undefined, 'whoever writes has paid for it');
    return async () => await this.#way.unary({ ...last, signal: undefined });
  }
}
