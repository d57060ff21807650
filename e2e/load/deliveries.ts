import { type BusEvent, decodeBusAnswer, encodeBusBatch, sealFanOut } from '@roost/bus/frames';
import { encodeGroupEvent } from '@roost/bus/group-event';
import { GroupId, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { rowsStatement } from '@roost/postgres/statement';
import { domain, type House } from './house.ts';
import { byTurns, round, type Row } from './measure.ts';
import { bindHandles, spread, storedMessages } from './queues.ts';
import type { Bench, Scenario } from './scenario.ts';

/** What the QS stores, batch by batch, beside a bare insert of as many rows with the same payloads. */
export const deliveries: Scenario = {
  name: 'deliveries',
  about: 'stored by the QS from the bus, beside a bare batched insert',
  async run(bench) {
    const rows: Row[] = [];
    const perDelivery: number[] = [];
    for (const shape of SHAPES) {
      bench.progress(`groups of ${shape.size}, ${shape.events} events each in a batch`);
      const { rows: own, cpu } = await measureShape(bench, shape);
      rows.push(...own);
      if (shape.events > 1) perDelivery.push(cpu);
    }
    rows.push({
      what: 'CPU per delivery as groups grow: 2, 10, 100, 1,000',
      figure: `${perDelivery.map((cpu) => round(cpu)).join(' > ')} ms`,
      target: 'falling',
      met: perDelivery.every((cpu, at) => at === 0 || cpu < (perDelivery[at - 1] ?? 0)),
    });
    return rows;
  },
};

/** What a batch holds: so many groups, with so many events each. */
interface Shape {
  readonly size: number;
  readonly groups: number;
  readonly events: number;
  readonly batches: number;
}

/** Busy, as a dispatcher that has something to carry sends: up to 256 events; and each event by itself. */
const SHAPES: readonly Shape[] = [
  { size: 2, groups: 25, events: 10, batches: 20 },
  { size: 10, groups: 10, events: 10, batches: 12 },
  { size: 100, groups: 1, events: 10, batches: 12 },
  { size: 1_000, groups: 1, events: 10, batches: 4 },
  { size: 2, groups: 25, events: 1, batches: 40 },
  { size: 10, groups: 10, events: 1, batches: 40 },
  { size: 100, groups: 1, events: 1, batches: 40 },
  { size: 1_000, groups: 1, events: 1, batches: 6 },
];

/** As many batches are under way as a dispatcher's partitions keep two cores busy with. */
const LANES = 2;
const ROUNDS = 3;
const ROUNDS_QUICK = 1;
const MESSAGE_BYTES = 512;
/** What a row holds besides the event. */
const ROW_OVERHEAD_BYTES = 24;

async function measureShape(bench: Bench, shape: Shape) {
  const house = await bench.house();
  const rounds = bench.quick ? ROUNDS_QUICK : ROUNDS;
  const feeds = await openFeeds(bench, shape);
  const batches = await prepareBatches(house, feeds, shape, rounds + 1);
  await house.bare.query({ text: BARE_TABLE });

  const before = await storedMessages(house);
  const each = shape.size * shape.groups * shape.events;
  const eventBytes = feeds[0]?.[0]?.eventBytes ?? 0;
  const payload = crypto.random(eventBytes + ROW_OVERHEAD_BYTES);
  const { ours, bare } = await byTurns(
    house.postmaster,
    rounds,
    async (turn) => await inLanes(batches[turn] ?? [], (batch) => deliver(house, batch)),
    async (turn) =>
      await inLanes(batches[turn] ?? [], async (_, lane, number) => {
        const first = ((turn * shape.batches + number) * LANES + lane) * shape.events;
        await insertBare(house, shape, { lane, first: BigInt(first), payload });
      }),
  );
  await house.bare.query({ text: 'DROP TABLE bare_rows' });
  const stored = (await storedMessages(house)) - before;
  const total = each * shape.batches * LANES * rounds;
  const expected = each * shape.batches * LANES * (rounds + 1);
  if (stored !== expected) throw new Error(`${stored} of ${expected} deliveries were stored`);

  const rates = { ours: total / ours.seconds, bare: total / bare.seconds };
  const cpu = ((ours.node + ours.postgres) / total) * 1_000;
  const ratio = rates.ours / rates.bare;
  const row: Row = {
    what: `group of ${shape.size}, ${shape.events} in a batch for each member`,
    figure: `${round(rates.ours)}/s; CPU ${perThousand(ours, total)} per 1,000`,
    bare: `${round(rates.bare)} rows/s; CPU ${perThousand(bare, total)}`,
    ...{ ratio, target: '>= 0.5', met: ratio >= 0.5 },
  };
  return { rows: [row], cpu };
}

/** Seconds of Node and of PostgreSQL. */
export function perThousand(spent: { node: number; postgres: number }, count: number): string {
  return `${round((spent.node / count) * 1_000)} + ${round((spent.postgres / count) * 1_000)} s`;
}

/** The events of one group, numbered as the DS numbers them. */
class Feed {
  readonly groupId = GroupId.of(uuidOf(crypto.random(16)), domain);
  readonly handles: readonly Uint8Array[];
  readonly #transportKey: Uint8Array;
  #n = 0n;

  constructor(size: number, transportKey: Uint8Array) {
    this.handles = Array.from({ length: size }, () => crypto.random(32));
    this.#transportKey = transportKey;
  }

  get eventBytes(): number {
    return this.#event().length;
  }

  next(): BusEvent[] {
    const groupEvent = this.#event();
    const events: BusEvent[] = [];
    for (let at = 0; at < this.handles.length; at += PART) {
      const prev = { incarnation: this.#n === 0n ? 0 : 1, n: this.#n };
      const place = { groupId: this.groupId, number: { incarnation: 1, n: ++this.#n }, prev };
      const recipients = this.handles.slice(at, at + PART).map((handle) => ({
        handle,
        pushKey: PUSH_KEY,
        extra: NOTHING,
      }));
      const sealed = sealFanOut(crypto, this.#transportKey, place, { recipients, groupEvent });
      events.push({ kind: 'event', ...place, sealed });
    }
    return events;
  }

  #event(): Uint8Array {
    const head = { groupId: this.groupId, epoch: 1n, acceptedAtMs: 1n };
    const mlsMessage = crypto.random(MESSAGE_BYTES);
    return encodeGroupEvent({ ...head, kind: 'application', mlsMessage });
  }
}

const PART = 256;
const PUSH_KEY = new Uint8Array(32);
const NOTHING = new Uint8Array(0);

/** Groups for each lane, all of different clients where there are as many. */
async function openFeeds(bench: Bench, { size, groups }: Shape): Promise<Feed[][]> {
  const house = await bench.house();
  const clients = await bench.queueClients(Math.min(1_000, Math.max(size, size * groups * LANES)));
  const transportKey = await house.secret('transport');
  const lanes = Array.from({ length: LANES }, () =>
    Array.from({ length: groups }, () => new Feed(size, transportKey)),
  );
  const bound = lanes
    .flat()
    .flatMap(({ groupId, handles }) => handles.map((handle) => ({ groupId, handle })));
  await bindHandles(house, clients, spread(bound, clients.length));
  return lanes;
}

/** For each turn and lane the batches to be sent: sealed before anything is measured. */
async function prepareBatches(
  { secret }: House,
  feeds: readonly (readonly Feed[])[],
  shape: Shape,
  turns: number,
): Promise<Uint8Array[][][]> {
  await secret('transport');
  const batchOf = (lane: readonly Feed[]): Uint8Array => {
    const events = Array.from({ length: shape.events }, () => lane.flatMap((feed) => feed.next()));
    return encodeBusBatch({ source: domain, events: events.flat() });
  };
  return Array.from({ length: turns }, () =>
    feeds.map((lane) => Array.from({ length: shape.batches }, () => batchOf(lane))),
  );
}

async function inLanes(
  lanes: readonly (readonly Uint8Array[])[],
  work: (batch: Uint8Array, lane: number, number: number) => Promise<void>,
): Promise<void> {
  await Promise.all(
    lanes.map(async (batches, lane) => {
      for (const [number, batch] of batches.entries()) await work(batch, lane, number);
    }),
  );
}

async function deliver({ bus }: House, batch: Uint8Array): Promise<void> {
  const { gone } = decodeBusAnswer(await bus.request(0, batch, { timeoutMs: 60_000 }));
  if (gone.length > 0) throw new Error('no queue is gone');
}

/** One row for each delivery, all of a batch in one transaction, as fast as `libs/postgres` does it. */
async function insertBare(
  { bare }: House,
  { size, groups, events }: Shape,
  { lane, first, payload }: { lane: number; first: bigint; payload: Uint8Array },
): Promise<void> {
  const rows = Array.from({ length: size * groups }, (_, client) =>
    Array.from(
      { length: events },
      (__, at) => [BigInt(lane * size * groups + client), first + BigInt(at), payload] as const,
    ),
  );
  await bare.transaction(async (tx) => void (await insertRows(tx, rows.flat())));
}

const BARE_TABLE = `
  CREATE TABLE bare_rows (client_id bigint, sequence bigint, payload bytea,
                          PRIMARY KEY (client_id, sequence));
  ALTER TABLE bare_rows ALTER payload SET STORAGE EXTERNAL`;

const insertRows = rowsStatement<
  readonly [clientId: bigint, sequence: bigint, payload: Uint8Array],
  never
>(
  'bench_insert_rows',
  { types: ['bigint', 'bigint', 'bytea'] },
  (values) => `INSERT INTO bare_rows (client_id, sequence, payload) ${values}`,
);
