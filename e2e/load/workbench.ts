import type { Options } from './command-line.ts';
import { type MadeGroup, makeGroup } from './groups.ts';
import { type House, openHouse } from './house.ts';
import { type QueueClient, registerClients } from './queues.ts';
import type { Bench } from './scenario.ts';
import { makeSettled, type Settled } from './settled.ts';

/** What scenarios share, and the line that tells how far they are. */
export class Workbench implements Bench, AsyncDisposable {
  readonly quick: boolean;
  readonly listeners: number;
  readonly cleanUp = new AsyncDisposableStack();
  place = '';
  #house: Promise<House> | undefined;
  #clients: readonly QueueClient[] = [];
  readonly #groups = new Map<number, MadeGroup[]>();
  readonly #settled = new Map<number, Settled>();

  constructor({ quick, listeners: count }: Options) {
    this.quick = quick;
    this.listeners = count;
  }

  readonly progress = (text: string): void => {
    const line = `${this.place}${text === '' ? '' : `: ${text}`}`;
    // One line that is written over, where somebody looks.
    process.stderr.write(process.stderr.isTTY ? `\r\u001B[K${line}` : `${line}\n`);
  };

  async house(): Promise<House> {
    if (this.#house === undefined) this.progress('starting a homeserver');
    this.#house ??= openHouse();
    return await this.#house;
  }

  async queueClients(count: number): Promise<readonly QueueClient[]> {
    const house = await this.house();
    const missing = count - this.#clients.length;
    if (missing > 0) {
      this.progress(`registering ${missing} queues`);
      this.#clients = [...this.#clients, ...(await registerClients(house, missing))];
    }
    return this.#clients.slice(0, count);
  }

  async groups(size: number, count: number): Promise<readonly MadeGroup[]> {
    const made = this.#groups.get(size) ?? [];
    this.#groups.set(size, made);
    if (made.length < count) this.progress(`making ${count - made.length} groups of ${size}`);
    while (made.length < count) made.push(await makeGroup(size));
    return made.slice(0, count);
  }

  async settled(size: number): Promise<Settled> {
    const known = this.#settled.get(size);
    if (known !== undefined) return known;
    this.progress(`making a settled group of ${size}`);
    const made = await makeSettled(size);
    this.#settled.set(size, made);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (process.stderr.isTTY) process.stderr.write('\r\u001B[K');
    await this.cleanUp.disposeAsync();
    await (await this.#house)?.[Symbol.asyncDispose]();
  }
}
