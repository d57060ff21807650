import { sleep } from '@roost/core/time';
import type { Door } from './door.ts';
import { connectTwo, Witness } from './witness.ts';

const PAUSE_MS = 40;
const PATIENCE_MS = 90_000;

/** Two who talk without a pause from the beginning to the end, in numbered lines, whatever happens around them. */
export class Dialogue implements AsyncDisposable {
  readonly people: readonly [Witness, Witness];
  readonly chat: string;
  readonly #said: [number, number] = [0, 0];
  readonly #sent: Promise<unknown>[] = [];
  readonly #over = new AbortController();
  #talking: Promise<unknown> = Promise.resolve();

  private constructor(people: readonly [Witness, Witness], chat: string) {
    this.people = people;
    this.chat = chat;
  }

  static async open(door: Door, names: readonly [string, string]): Promise<Dialogue> {
    const people = [
      await Witness.come(door, names[0]),
      await Witness.come(door, names[1]),
    ] as const;
    const dialogue = new Dialogue(people, await connectTwo(...people));
    dialogue.#talking = Promise.all([dialogue.#talk(0), dialogue.#talk(1)]);
    return dialogue;
  }

  /** Ends the talk; waits until every line has arrived, and returns what each heard and should have heard. */
  async end(): Promise<{ readonly heard: string[][]; readonly said: string[][] }> {
    this.#over.abort();
    await this.#talking;
    await Promise.all(this.#sent);
    const said = this.people.map((each, at) =>
      Array.from({ length: this.#said[at] ?? 0 }, (_, line) => `${each.name} ${line}`),
    );
    const texts = (): string[][] => this.people.map((each) => each.texts(this.chat)).toReversed();
    const isAll = (): boolean =>
      texts().every((heard, at) => heard.includes(said[at]?.at(-1) ?? ''));
    for (let waited = 0; waited < PATIENCE_MS && !isAll(); waited += 20) await sleep(20);
    return { heard: texts(), said };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#talking.catch(() => undefined);
    await Promise.all(this.people.map((each) => each[Symbol.asyncDispose]()));
  }

  async #talk(at: 0 | 1): Promise<void> {
    const { name, client } = this.people[at];
    while (!this.#over.signal.aborted) {
      const { sent } = await client.send(this.chat, `${name} ${this.#said[at]++}`);
      // What comes of it is asked at the end.
      sent.catch(() => undefined);
      this.#sent.push(sent);
      await sleep(PAUSE_MS, this.#over.signal);
    }
  }
}
