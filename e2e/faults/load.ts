import { sleep } from '@roost/core/time';
import type { Door } from '@roost/e2e/door';
import { judge } from './history.ts';
import type { Log } from './log.ts';
import { introduce, Talker } from './talker.ts';

const NAMES = ['ann', 'ben', 'cat', 'dan', 'eve', 'fay'] as const;
type Name = (typeof NAMES)[number];

/** The group of all but the guest, who comes and goes. */
export const GARDEN = 'garden';
const PAIR_EVERY_MS = 400;
const GARDEN_EVERY_MS = 900;
const GUEST_EVERY_MS = 3_000;
const TITLE_EVERY_MS = 4_500;

/** Somebody who speaks in a chat. */
interface Speaking {
  readonly by: Talker;
  readonly chat: string;
  readonly everyMs: number;
}

/**
 * Six people: two pairs, and a group of five into which a guest is taken and put out again, while its
 * title changes. They talk until they are told to be silent.
 */
export class Load implements AsyncDisposable {
  readonly talkers: Readonly<Record<Name, Talker>>;
  readonly log: Log;
  readonly #garden: string;
  readonly #speaking: readonly Speaking[];
  #isGuestIn = false;
  #stop = new AbortController();
  #loops: Promise<void>[] = [];

  private constructor(log: Log, talkers: Record<Name, Talker>, chats: Chats) {
    this.log = log;
    this.talkers = talkers;
    this.#garden = chats.garden;
    const { ann, ben, cat, dan, eve } = talkers;
    const at = (chat: string, everyMs: number, ...those: Talker[]): Speaking[] =>
      those.map((by) => ({ by, chat, everyMs }));
    this.#speaking = [
      ...at(chats.annAndBen, PAIR_EVERY_MS, ann, ben),
      ...at(chats.catAndDan, PAIR_EVERY_MS, cat, dan),
      ...at(chats.garden, GARDEN_EVERY_MS, ann, ben, cat, dan, eve),
    ];
  }

  /** Everybody registers, and is introduced to everybody. */
  static async open(door: Door, log: Log, suffix = ''): Promise<Load> {
    const come = async (name: Name) => [name, await Talker.come(`${name}${suffix}`, door, log)];
    const entries = await Promise.all(NAMES.map(come));
    const talkers = Object.fromEntries(entries) as Record<Name, Talker>;
    const { ann, ben, cat, dan, eve, fay } = talkers;
    const [annAndBen, catAndDan] = await Promise.all([introduce(ann, ben), introduce(cat, dan)]);
    for (const other of [cat, dan, eve, fay]) await introduce(ann, other);
    const those = [ben, cat, dan, eve];
    const garden = await ann.client.createGroup(
      GARDEN,
      those.map(({ name }) => name),
    );
    const isIt = (event: object): boolean => 'chat' in event && event.chat === garden;
    for (const each of those) await each.until('joined', isIt);
    log.call(annAndBen, 'ann & ben');
    log.call(catAndDan, 'cat & dan');
    log.call(garden, GARDEN);
    return new Load(log, talkers, { annAndBen, catAndDan, garden });
  }

  get all(): readonly Talker[] {
    return Object.values(this.talkers);
  }

  /** Begins a new history, with who is where, and everybody talks. */
  start(): void {
    this.log.clear();
    for (const talker of this.all) {
      for (const { id, isOpen } of talker.client.chats()) {
        if (!isOpen) continue;
        const group = this.log.nameOf(id);
        this.log.add({ kind: 'joined', epoch: 0, client: talker.name, group });
      }
      talker.tap.queue.anew();
    }
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#loops = [
      ...this.#speaking.map(async ({ by, chat, everyMs }, at) => {
        await sleep((everyMs * at) / this.#speaking.length, signal);
        for (; !signal.aborted; await sleep(everyMs, signal)) await by.say(chat);
      }),
      this.#receive(signal),
      this.#retitle(signal),
    ];
  }

  /** Nobody says anything more; what was said is still on its way. */
  async hush(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }

  /** Waits until something that is said from now on has arrived in each chat: all is well. */
  async flows(patienceMs: number): Promise<boolean> {
    const from = this.log.entries.length;
    const groups = new Set(this.#speaking.map(({ chat }) => this.log.nameOf(chat)));
    return await within(patienceMs, () => {
      const said = new Set<string>();
      const heard = new Set<string>();
      for (const entry of this.log.entries.slice(from)) {
        if (!('level' in entry) || entry.level !== 'text') continue;
        if (entry.kind === 'sending') said.add(entry.what);
        if (entry.kind === 'arrived' && said.has(entry.what)) heard.add(entry.group);
      }
      return [...groups].every((group) => heard.has(group));
    });
  }

  /** Waits until all that was said has its answer, and all that was accepted is where it belongs. */
  async settles(patienceMs: number): Promise<boolean> {
    return await within(patienceMs, () => {
      if (this.all.some(({ unheard }) => unheard > 0)) return false;
      // Who was taken in is in.
      const isIn = this.talkers.fay.client.chat(this.#garden)?.isOpen === true;
      if (isIn !== this.#isGuestIn) return false;
      return judge(this.log.entries).every(({ rule }) => rule !== 'lost');
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.all.map((each) => each[Symbol.asyncDispose]()));
    await Promise.allSettled(this.#loops);
  }

  /** Takes the guest in, and puts it out again. */
  async #receive(signal: AbortSignal): Promise<void> {
    const { ann, fay } = this.talkers;
    const member = { client: fay.name, group: GARDEN };
    for (await sleep(1_000, signal); !signal.aborted; await sleep(GUEST_EVERY_MS, signal)) {
      if (!this.#isGuestIn) {
        await ann.client.add(this.#garden, [fay.name]);
        this.#isGuestIn = true;
        continue;
      }
      this.log.add({ kind: 'removing', ...member });
      await ann.client.remove(this.#garden, fay.name);
      this.log.add({ kind: 'removed', epoch: ann.tap.ledTo.get(GARDEN) ?? 0, ...member });
      this.#isGuestIn = false;
    }
  }

  /** Races the other commits. */
  async #retitle(signal: AbortSignal): Promise<void> {
    for (let at = 0; !signal.aborted; at++) {
      await sleep(TITLE_EVERY_MS, signal);
      if (!signal.aborted) await this.talkers.ben.client.setTitle(this.#garden, `garden ${at}`);
    }
  }
}

interface Chats {
  readonly annAndBen: string;
  readonly catAndDan: string;
  readonly garden: string;
}

/** Whether it became so in time. */
export async function within(patienceMs: number, isSo: () => boolean): Promise<boolean> {
  for (const end = performance.now() + patienceMs; ; await sleep(150)) {
    if (isSo()) return true;
    if (performance.now() > end) return false;
  }
}
