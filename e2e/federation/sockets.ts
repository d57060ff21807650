import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';

/** Who connects to where, in this process: Node tells of every socket that is made, and who made it is known. */
export class Sockets implements Disposable {
  readonly #who = new AsyncLocalStorage<string>();
  readonly #made = new Map<string, Set<string>>();

  constructor() {
    subscribe('net.client.socket', this.#note);
  }

  /** Whatever is connected by this, or by what it leaves behind, is somebody's. */
  async as<T>(name: string, work: () => Promise<T>): Promise<T> {
    return await this.#who.run(name, work);
  }

  /** `host:port` of all that somebody has connected to. */
  of(name: string): string[] {
    return [...(this.#made.get(name) ?? [])].toSorted();
  }

  [Symbol.dispose](): void {
    unsubscribe('net.client.socket', this.#note);
  }

  readonly #note = (message: unknown): void => {
    const name = this.#who.getStore();
    // Under Jest the message is of another realm than ours.
    const isOne = typeof message === 'object' && message !== null && 'socket' in message;
    const socket = isOne ? message.socket : undefined;
    if (name === undefined || !(socket instanceof Socket)) return;
    const made = this.#made.get(name) ?? new Set();
    this.#made.set(name, made);
    socket.once('connect', () => made.add(`${socket.remoteAddress}:${socket.remotePort}`));
  };
}
