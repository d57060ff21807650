import type { Outgoing, Transport } from '@roost/rpc/call';

/**
 * Keeps calls instead of making them: encoded and signed, so that what a client does for a call is not
 * measured with the server. They are good for as long as their signatures, two minutes.
 */
export class Recorder implements Transport {
  readonly calls: Outgoing[] = [];

  unary(call: Outgoing): Promise<Uint8Array> {
    this.calls.push(call);
    return new Promise(() => {});
  }

  stream(call: Outgoing): AsyncIterable<Uint8Array> {
    this.calls.push(call);
    const next = async () => ({ done: true as const, value: undefined });
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }
}

/** Makes calls with so many under way at once. */
export async function callAll<Call>(
  calls: readonly Call[],
  inFlight: number,
  make: (call: Call, at: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < calls.length; at = next++) {
      const call = calls[at];
      if (call !== undefined) await make(call, at);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}
