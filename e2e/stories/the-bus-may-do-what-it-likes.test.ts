// Invariants 2, 3 and 11 under a bad bus: batches get lost on the way there and back, come twice,
// late and in another order. Every accepted message arrives, once, in order, its Welcome after its
// commit. The seed is printed with every failure; ROOST_SEED repeats it.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MemoryBus } from '@roost/bus/memory';
import type { Bus, RequestOptions } from '@roost/bus/ports';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { sleep } from '@roost/core/time';
import { queueLog } from '@roost/e2e/queue-log';
import { randomOf } from '@roost/e2e/random';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { AllInOne } from '@roost/e2e/all-in-one';

const given = process.env['ROOST_SEED'];
const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);

type Fault = 'lost' | 'answer lost' | 'twice' | 'late' | 'none';

/** A bus that does to each batch what the dice say, until it is told to behave. */
class BadBus implements Bus {
  isBad = true;
  readonly done: Record<Fault, number> = {
    lost: 0,
    'answer lost': 0,
    twice: 0,
    late: 0,
    none: 0,
  };
  readonly #bus = new MemoryBus();
  readonly #random = randomOf(seed);

  async request(partition: number, batch: Uint8Array, options: RequestOptions) {
    const fault = this.#draw();
    this.done[fault]++;
    if (fault === 'lost') throw new Failure('UNAVAILABLE', 'bus: lost on the way');
    if (fault === 'late') this.#repeat(partition, batch, options);
    if (fault === 'late') throw new Failure('UNAVAILABLE', 'bus: it takes its time');
    if (fault === 'twice') this.#repeat(partition, batch, options);
    const answer = await this.#bus.request(partition, batch, options);
    if (fault === 'answer lost') throw new Failure('UNAVAILABLE', 'bus: lost on the way back');
    return answer;
  }

  serve(handler: (batch: Uint8Array) => Promise<Uint8Array>) {
    return this.#bus.serve(handler);
  }

  /** The batch comes some time later, when others have overtaken it; nobody hears its answer. */
  #repeat(partition: number, batch: Uint8Array, { timeoutMs }: RequestOptions): void {
    const again = async (): Promise<void> => {
      await sleep(this.#random() * 400);
      await this.#bus.request(partition, batch.slice(), { timeoutMs });
    };
    again().catch(() => undefined);
  }

  #draw(): Fault {
    const at = this.isBad ? this.#random() : 1;
    if (at < 0.2) return 'lost';
    if (at < 0.35) return 'answer lost';
    if (at < 0.55) return 'twice';
    return at < 0.7 ? 'late' : 'none';
  }
}

const bus = new BadBus();
/** What lies in the queues themselves: nothing twice, and all in one order for everybody. */
async function expectOneOrder(chats: readonly string[]): Promise<void> {
  for (const chat of chats) {
    const queues = await Promise.all(people.map(queueLog));
    const orders = queues.map((events) =>
      events
        .filter(({ groupId }) => printId(groupId) === chat)
        .map((event) => (event.kind === 'group-deleted' ? event.kind : toHex(event.mlsMessage))),
    );
    for (const order of orders) expect(new Set(order).size).toBe(order.length);
    for (const [one = [], other = []] of [orders.slice(0, 2), orders.slice(1, 3)]) {
      const common = new Set(one.filter((each) => other.includes(each)));
      expect(common.size).toBeGreaterThan(0);
      expect(one.filter((each) => common.has(each))).toEqual(
        other.filter((each) => common.has(each)),
      );
    }
  }
}

const MESSAGES = 40;
let world: AllInOne;
let people: Witness[];

beforeAll(async () => {
  world = await AllInOne.open({ bus });
  const come = (name: string): Promise<Witness> => Witness.come(world.door, name);
  people = await Promise.all(['rita', 'sami', 'tove'].map(come));
});
afterAll(async () => {
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  await world[Symbol.asyncDispose]();
});

test(`two groups of three over a bad bus (seed ${seed}): all arrives, once, in order`, async () => {
  const [rita, sami, tove] = people as [Witness, Witness, Witness];
  await connectTwo(rita, sami);
  await connectTwo(sami, tove);
  await connectTwo(rita, tove);
  const first = await rita.client.createGroup('The first', ['sami', 'tove']);
  const second = await sami.client.createGroup('The second', ['rita']);
  await Promise.all([
    ...[sami, tove].map((each) => each.until('joined', ({ chat }) => chat === first)),
    rita.until('joined', ({ chat }) => chat === second),
  ]);

  const speak = async (speaker: Witness, chat: string, place: string): Promise<void> => {
    for (let at = 0; at < MESSAGES; at++) {
      // However fast the talk is: the last words in the second are for whoever came into it, too.
      const isLast = at === MESSAGES - 1 && chat === second && speaker !== tove;
      if (isLast) await speaker.until('added', (event) => event.chat === second);
      const { sent } = await speaker.client.send(chat, `${speaker.name} ${place} ${at}`);
      if (at % 4 === 0) await sent;
      await sleep(5);
    }
  };
  const speaking = [
    ...people.map((each) => speak(each, first, 'first')),
    ...[rita, sami].map((each) => speak(each, second, 'second')),
  ];
  // Epochs change under it, and somebody comes into the second one in the middle.
  await rita.client.setTitle(first, 'Still the first');
  await sami.client.add(second, ['tove']);
  await tove.until('joined', ({ chat }) => chat === second);
  await speak(tove, second, 'second');
  await Promise.all(speaking);
  bus.isBad = false;

  const heard = (listener: Witness, speaker: Witness, chat: string): string[] =>
    listener.texts(chat).filter((text) => text.startsWith(`${speaker.name} `));
  const spoken = (speaker: Witness, place: string): string[] =>
    Array.from({ length: MESSAGES }, (_, at) => `${speaker.name} ${place} ${at}`);
  for (const [chat, place] of [
    [first, 'first'],
    [second, 'second'],
  ] as const) {
    for (const speaker of people) {
      for (const listener of people.filter((each) => each !== speaker)) {
        const whole = spoken(speaker, place);
        await listener.hears(whole.at(-1) ?? '');
        const got = heard(listener, speaker, chat);
        // Who came later hears from its Welcome on, and from there on all.
        const isNew = listener === tove && place === 'second';
        expect(got).toEqual(isNew ? whole.slice(whole.length - got.length) : whole);
      }
    }
  }
  expect(people.map(({ client }) => client.chat(first)?.name)).toEqual(
    people.map(() => 'Still the first'),
  );
  await expectOneOrder([first, second]);
  for (const count of Object.values(bus.done)) expect(count).toBeGreaterThan(0);
});
