import type { ClientEvent } from '@roost/client/client';
import { SECOND_MS, sleep } from '@roost/core/time';
import type { CDPSession, Page } from 'puppeteer-core';
import type { Bare, Heard } from './page.ts';

type EventOf<K extends ClientEvent['kind']> = ClientEvent & { kind: K };

const PATIENCE_MS = 60_000;

/** One tab, and every call that it made. */
export class Tab {
  /** Their paths. */
  readonly calls: string[] = [];
  readonly #page: Page;
  #debugger: CDPSession | undefined;

  private constructor(page: Page) {
    this.#page = page;
    page.on('request', (request) => {
      if (request.method() === 'POST') this.calls.push(new URL(request.url()).pathname);
    });
  }

  static async open(page: Page, origin: string): Promise<Tab> {
    const tab = new Tab(page);
    await page.goto(origin);
    await page.waitForFunction(() => 'roost' in window);
    return tab;
  }

  /** Opens the client of this browser with that name, or registers it. */
  async enter(baseUrl: string, userName: string): Promise<Heard> {
    return this.#page.evaluate((options) => window.roost.open(options), { baseUrl, userName });
  }

  async connect(name: string): Promise<Heard> {
    return this.#page.evaluate((who) => window.roost.connect(who), name);
  }

  async accept(name: string): Promise<Heard> {
    return this.#page.evaluate((who) => window.roost.accept(who), name);
  }

  async send(chat: string, text: string): Promise<Heard> {
    return this.#page.evaluate((to, what) => window.roost.send(to, what), chat, text);
  }

  async call(baseUrl: string, path: string, bare: Bare = {}): Promise<Heard> {
    return this.#page.evaluate((...args) => window.roost.call(...args), baseUrl, path, bare);
  }

  async history(chat: string): Promise<readonly (readonly [sender: string, text: string])[]> {
    return this.#page.evaluate((of) => window.roost.history(of), chat);
  }

  /** The texts that it heard, in their order. */
  async texts(): Promise<readonly string[]> {
    return this.#page.evaluate(() =>
      window.roost.events.flatMap((event) => (event.kind === 'message' ? event.text : [])),
    );
  }

  /** Waits until it has made no call for a second: what follows a start is over. */
  async calm(): Promise<void> {
    for (let before = -1; before !== this.calls.length; await sleep(SECOND_MS)) {
      before = this.calls.length;
    }
  }

  /** Waits for a call of a method that is not of its first ones. */
  async untilCalled(method: string, first: number): Promise<void> {
    const endMs = Date.now() + PATIENCE_MS;
    while (!this.calls.slice(first).some((path) => path.endsWith(method))) {
      if (Date.now() > endMs) throw new Error(`the page did not call ${method}`);
      await sleep(20);
    }
  }

  async reports(): Promise<readonly string[]> {
    return this.#page.evaluate(() => window.roost.reports);
  }

  /** The first event of a kind whose fields are these. */
  async until<K extends ClientEvent['kind']>(
    kind: K,
    fields: Partial<EventOf<K>> = {},
  ): Promise<EventOf<K>> {
    const wanted = Object.entries({ ...fields, kind });
    try {
      const found = await this.#page.waitForFunction(
        (all) =>
          window.roost.events.find((event) =>
            all.every(([field, value]) =>
              Object.entries(event).some(([f, v]) => f === field && v === value),
            ),
          ),
        { timeout: PATIENCE_MS, polling: 20 },
        wanted,
      );
      return (await found.jsonValue()) as EventOf<K>;
    } catch (error) {
      const heard = await this.#page.evaluate(() => JSON.stringify(window.roost.events));
      throw new Error(`the page heard no ${JSON.stringify(wanted)} but ${heard}`, { cause: error });
    }
  }

  /** How its client ended, once it has. */
  async ended(): Promise<string> {
    const found = await this.#page.waitForFunction(() => window.roost.ended, {
      timeout: PATIENCE_MS,
      polling: 20,
    });
    return await found.jsonValue();
  }

  async reload(): Promise<void> {
    await this.#page.reload();
    await this.#page.waitForFunction(() => 'roost' in window);
  }

  /** Lets nothing run in it any more, as a browser does with a tab that nobody has looked at for long. */
  async freeze(): Promise<void> {
    this.#debugger = await this.#page.createCDPSession();
    await this.#debugger.send('Debugger.enable');
    await this.#debugger.send('Debugger.pause');
  }

  async thaw(): Promise<void> {
    await this.#debugger?.send('Debugger.resume');
    await this.#debugger?.detach();
  }

  /** Pulls the plug, or puts it back. */
  async setOffline(isOffline: boolean): Promise<void> {
    await this.#page.setOfflineMode(isOffline);
  }
}
