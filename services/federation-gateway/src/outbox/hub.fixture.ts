// The two ends of the way: a hub whose DS has something for other homeservers, and the QS that gets it in the end.
import {
  type BusEvent,
  comparePairs,
  decodeBusAnswer,
  decodeBusBatch,
  encodeBusAnswer,
  encodeRemoteBatch,
  firstPair,
  type Gone,
  openFanOut,
  type Pair,
  sealFanOut,
} from '@roost/bus/frames';
import type { MemoryBus } from '@roost/bus/memory';
import { nextNumber, nextStep, takes } from '@roost/bus/numbering';
import { toHex, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, printId, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';

const NOTHING = new Uint8Array(0);

interface Row {
  readonly number: Pair;
  readonly prev: Pair;
  readonly sealed: Uint8Array;
}

/** A DS by the rules of design §6, for one destination, which keeps what it said until the gateway has it. */
export class TestHub {
  readonly #home: Domain;
  readonly #destination: Domain;
  readonly #transportKey: Uint8Array;
  readonly rows = new Map<string, { groupId: GroupId; rows: Row[]; head: Pair }>();
  /** What it has said, group by group. */
  readonly said = new Map<string, string[]>();
  readonly gone: Gone[] = [];
  readonly #salt = crypto.random(15);
  incarnation = 1;

  constructor(home: Domain, destination: Domain, transportKey: Uint8Array) {
    this.#home = home;
    this.#destination = destination;
    this.#transportKey = transportKey;
  }

  /** Those of another hub are others. */
  groupOf(n: number): GroupId {
    return GroupId.of(uuidOf(Uint8Array.of(...this.#salt, n)), this.#home);
  }

  /** Accepts an event: it is in the outbox of the DS. `groupEvent` makes it another one than can be read. */
  say(groupId: GroupId, text: string, { sealed, handle = HANDLE }: Saying = {}): void {
    const name = printId(groupId);
    const state = this.rows.get(name) ?? { groupId, rows: [], head: firstPair };
    const { number, prev } = nextNumber(state.head, this.incarnation);
    const fanOut = {
      recipients: [{ handle, pushKey: new Uint8Array(32), extra: NOTHING }],
      groupEvent: utf8(text),
    };
    const place = { groupId, number, prev };
    state.rows.push({
      ...{ number, prev },
      sealed: sealed ?? sealFanOut(crypto, this.#transportKey, place, fanOut),
    });
    state.head = number;
    this.rows.set(name, state);
    this.said.set(name, [...(this.said.get(name) ?? []), text]);
  }

  /** Gives the gateway a batch of what waits, of each group a beginning; deletes what it has by then, and tells gaps. */
  async carry(bus: MemoryBus, rowsMax = 64): Promise<void> {
    const events = [...this.rows.values()].flatMap(({ groupId, rows }) =>
      rows.slice(0, rowsMax).map((row): BusEvent => ({ kind: 'event', groupId, ...row })),
    );
    if (events.length > 0) await this.#send(bus, events, true);
  }

  async tellHeads(bus: MemoryBus): Promise<void> {
    const events = [...this.rows.values()].map(({ groupId, head }): BusEvent => ({
      ...{ kind: 'head', groupId, number: head, prev: firstPair, sealed: NOTHING },
    }));
    await this.#send(bus, events, true);
  }

  async carryAll(bus: MemoryBus): Promise<void> {
    while ([...this.rows.values()].some(({ rows }) => rows.length > 0)) await this.carry(bus);
  }

  async #send(bus: MemoryBus, events: readonly BusEvent[], tellsGaps: boolean): Promise<void> {
    const [source, destination] = [this.#home, this.#destination];
    const batch = encodeRemoteBatch({ source, destination, events });
    const { marks, gone } = decodeBusAnswer(await bus.request(0, batch, { timeoutMs: 30_000 }));
    this.gone.push(...gone);
    const gaps = marks.flatMap(({ groupId, mark }): BusEvent[] => {
      const state = this.rows.get(printId(groupId));
      if (state === undefined) return [];
      state.rows = state.rows.filter(({ number }) => comparePairs(number, mark) > 0);
      const step = nextStep(mark, state.rows[0], state.head);
      if (step.kind !== 'gap') return [];
      return [{ kind: 'gap', groupId, prev: step.from, number: step.to, sealed: NOTHING }];
    });
    if (tellsGaps && gaps.length > 0) await this.#send(bus, gaps, false);
  }
}

interface Saying {
  readonly sealed?: Uint8Array;
  readonly handle?: Uint8Array;
}

export const HANDLE = new Uint8Array(32).fill(7);

/** A QS by the same rules, behind the gateway of another homeserver. */
export class TestQueues {
  readonly #transportKey: Uint8Array;
  readonly marks = new Map<string, Pair>();
  /** What arrived, group by group; a gap is `-`. */
  readonly heard = new Map<string, string[]>();
  /** Called before each batch is looked at. */
  before: (batch: ReturnType<typeof decodeBusBatch>) => Promise<void> = async () => undefined;
  /** And before it is answered. */
  after: () => Promise<void> = async () => undefined;
  /** Handles, in hex. */
  readonly gone = new Set<string>();
  /** What it says besides, true or not. */
  readonly claims: Gone[] = [];

  constructor(transportKey: Uint8Array) {
    this.#transportKey = transportKey;
  }

  serve(bus: MemoryBus): { close(): Promise<void> } {
    return bus.serve(async (bytes) => {
      const batch = decodeBusBatch(bytes);
      await this.before(batch);
      const gone = [...this.claims, ...batch.events.flatMap((event) => this.#take(event))];
      const groups = new Map(batch.events.map(({ groupId }) => [printId(groupId), groupId]));
      const marks = [...groups].map(([name, groupId]) => ({
        groupId,
        mark: this.marks.get(name) ?? firstPair,
      }));
      await this.after();
      return encodeBusAnswer({ marks, gone });
    });
  }

  heardOf(groupId: GroupId): readonly string[] {
    return this.heard.get(printId(groupId)) ?? [];
  }

  #take(event: BusEvent): Gone[] {
    const { groupId, kind, number } = event;
    const name = printId(groupId);
    const fanOut = kind === 'event' ? openFanOut(crypto, this.#transportKey, event) : undefined;
    if (takes(this.marks.get(name) ?? firstPair, event)) {
      this.marks.set(name, number);
      const text = fanOut === undefined ? '-' : new TextDecoder().decode(fanOut.groupEvent);
      this.heard.set(name, [...(this.heard.get(name) ?? []), text]);
    }
    const handles = fanOut?.recipients.map(({ handle }) => handle) ?? [];
    return handles
      .filter((handle) => this.gone.has(toHex(handle)))
      .map((handle) => ({ groupId, handle }));
  }
}

export const away = (): never => {
  throw new Failure('UNAVAILABLE', 'it is away');
};
