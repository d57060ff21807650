import type { Outgoing, Transport } from '@roost/rpc/call';

/** A call as it crossed the wire, and what came back. */
export interface Recorded {
  readonly path: string;
  readonly request: Uint8Array;
  readonly proof: Uint8Array | undefined;
  readonly authorization: string | undefined;
  /** The answer of a unary call that succeeded. */
  readonly answer?: Uint8Array;
  readonly error?: unknown;
}

/** Writes down every call that a client makes over its transport. */
export class Recorder implements Transport {
  readonly calls: Recorded[] = [];
  readonly streamed: { readonly path: string; readonly message: Uint8Array }[] = [];
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async unary(call: Outgoing): Promise<Uint8Array> {
    const { path, proof, authorization } = call;
    const sent = { path, request: call.request.slice(), proof, authorization };
    try {
      const answer = await this.#transport.unary(call);
      this.calls.push({ ...sent, answer });
      return answer;
    } catch (error) {
      this.calls.push({ ...sent, error });
      throw error;
    }
  }

  async *stream(call: Outgoing): AsyncGenerator<Uint8Array> {
    const { path, proof, authorization } = call;
    this.calls.push({ path, request: call.request.slice(), proof, authorization });
    for await (const message of this.#transport.stream(call)) {
      this.streamed.push({ path, message });
      yield message;
    }
  }

  /** The calls of a method, by its name without the service. */
  of(name: string): Recorded[] {
    return this.calls.filter(({ path }) => path.endsWith(`/${name}`));
  }
}
