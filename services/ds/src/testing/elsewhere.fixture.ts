import { decodeRemoteBatch, encodeBusBatch } from '@roost/bus/frames';
import type { Bus, RequestOptions } from '@roost/bus/ports';
import type { Domain } from '@roost/core/ids';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { nodeCrypto } from '@roost/crypto/node';
import { clientOf, type Transport } from '@roost/rpc/call';
import { GATEWAY } from '@roost/rpc/destination';
import { localTransport } from '@roost/rpc/local';
import { home, type DeliveryClient, type House } from './house.fixture.ts';
import { TestReceiver } from './receiver.fixture.ts';

/** What the gateway is to the DS: each destination takes what is for it, at its own pace. */
export class Elsewhere implements Bus {
  readonly #receivers = new Map<Domain, TestReceiver>();
  readonly #transportKey: Uint8Array;

  constructor({ transportKey }: TestReceiver) {
    this.#transportKey = transportKey;
  }

  at(domain: Domain): TestReceiver {
    const known = this.#receivers.get(domain);
    if (known !== undefined) return known;
    const made = Object.assign(new TestReceiver(), { transportKey: this.#transportKey });
    this.#receivers.set(domain, made);
    return made;
  }

  async request(partition: number, batch: Uint8Array, options: RequestOptions) {
    const { source, destination, events } = decodeRemoteBatch(batch);
    const local = encodeBusBatch({ source, events });
    return await this.at(destination).request(partition, local, options);
  }

  serve(): { close(): Promise<void> } {
    throw new Error('this bus has its receivers');
  }
}

/** The DS as the gateway calls it, in the name of another homeserver. */
export function clientAt(source: Domain, { bindings, clock }: House): DeliveryClient {
  const transport = localTransport(bindings, GATEWAY);
  const unary: Transport['unary'] = async (call) => await transport.unary({ ...call, source });
  const signing = { crypto: nodeCrypto, clock, audience: home };
  return clientOf(DeliveryServiceDefinition, { ...transport, unary }, signing);
}
