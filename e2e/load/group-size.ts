import { encodeBusBatch, sealFanOut } from '@roost/bus/frames';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { rowsStatement, statement } from '@roost/postgres/statement';
import { installGroups, type MadeGroup, recordSends } from './groups.ts';
import { domain, type House } from './house.ts';
import { byTurns, round, type Row, type Spent } from './measure.ts';
import { callAll } from './outgoing.ts';
import type { Bench, Scenario } from './scenario.ts';
import { type LoneDs, openLoneDs } from './sink.ts';

/**
 * What a send costs the DS alone, in a group of 10 and of 1,000. Its receiver says that it has
 * everything and stores nothing. What each recipient's 64 bytes cost anyway is measured beside it: sealing
 * the parts, writing them to a table, reading them back, framing them and deleting the rows.
 */
export const groupSize: Scenario = {
  name: 'group-size',
  about: 'what a send costs the DS in a group of 1,000, beside one of 10',
  async run(bench) {
    const house = await bench.house();
    await house.bare.query({ text: BARE_TABLE });
    await using ds = await openLoneDs(house);
    try {
      const small = await measureSize(bench, ds, 10);
      const large = await measureSize(bench, ds, 1_000);
      return rowsOf(small, large);
    } finally {
      await house.bare.query({ text: 'DROP TABLE bare_parts' });
    }
  },
};

const SENDS = 120;
const SENDS_QUICK = 15;
const ROUNDS = 4;
/** One by one: what many share in one transaction is not what one costs. */
const IN_FLIGHT = 1;
const PART = 256;

interface Cost {
  readonly whole: number;
  readonly bytes: number;
}

async function measureSize(
  bench: Bench,
  { edge, emptied }: LoneDs,
  size: number,
): Promise<Record<keyof Spent, Cost>> {
  const house = await bench.house();
  const groups = await bench.groups(size, 1);
  await installGroups(edge, groups);
  const count = bench.quick ? SENDS_QUICK : SENDS;
  bench.progress(`group of ${size}`);
  const turns = Array.from({ length: ROUNDS + 1 }, () => count);
  const calls = await Promise.all(turns.map((each) => recordSends(groups, each)));
  const { ours, bare } = await byTurns(
    house.postmaster,
    ROUNDS,
    async (turn) => {
      await callAll(calls[turn] ?? [], IN_FLIGHT, (call) => edge.unary(call));
      await emptied();
    },
    async () => {
      for (let at = 0; at < count; at++) await carryBytes(house, groups);
    },
  );
  const each = (spent: number): number => (spent / count / ROUNDS) * 1_000;
  return {
    seconds: { whole: each(ours.seconds), bytes: each(bare.seconds) },
    node: { whole: each(ours.node), bytes: each(bare.node) },
    postgres: { whole: each(ours.postgres), bytes: each(bare.postgres) },
  };
}

function rowsOf(small: Record<keyof Spent, Cost>, large: Record<keyof Spent, Cost>): Row[] {
  const cpu = (cost: Record<keyof Spent, Cost>): Cost => ({
    whole: cost.node.whole + cost.postgres.whole,
    bytes: cost.node.bytes + cost.postgres.bytes,
  });
  const line = (what: string, size: number, cost: Record<keyof Spent, Cost>): Row => ({
    what: `group of ${size}, ${what}`,
    figure: `${round(cost.node.whole)} + ${round(cost.postgres.whole)} ms CPU a send`,
    bare: `bytes alone ${round(cost.node.bytes)} + ${round(cost.postgres.bytes)} ms`,
  });
  const aside = (cost: Record<keyof Spent, Cost>): number => cpu(cost).whole - cpu(cost).bytes;
  const ratio = aside(large) / aside(small);
  return [
    line('DS alone', 10, small),
    line('DS alone', 1_000, large),
    {
      what: '1,000 beside 10, fan-out bytes aside',
      figure: `${round(aside(large))} ms`,
      bare: `${round(aside(small))} ms`,
      ...{ ratio, target: '<= 2', met: ratio <= 2 },
    },
    {
      what: '1,000 beside 10, all in all',
      figure: `${round(cpu(large).whole)} ms`,
      bare: `${round(cpu(small).whole)} ms`,
      ratio: cpu(large).whole / cpu(small).whole,
    },
  ];
}

/** The parts of one send, from the members' handles to the wire and away. */
async function carryBytes({ bare }: House, groups: readonly MadeGroup[]): Promise<void> {
  const [group] = groups;
  if (group === undefined) throw new Error('there is a group');
  const { room, members } = group;
  const others = members
    .slice(1)
    .map(({ handle }) => ({ handle, pushKey: handle, extra: NOTHING }));
  const pair = { incarnation: 1, n: 1n };
  const place = { groupId: room.id, number: pair, prev: pair };
  const parts: Uint8Array[] = [];
  for (let at = 0; at < others.length; at += PART) {
    const fanOut = { recipients: others.slice(at, at + PART), groupEvent: GROUP_EVENT };
    parts.push(sealFanOut(crypto, KEY, place, fanOut));
  }
  await insertParts(
    bare,
    parts.map((sealed) => [sealed]),
  );
  const read = await selectParts(bare);
  const events = read.map(({ sealed }) => ({ kind: 'event' as const, ...place, sealed }));
  encodeBusBatch({ source: domain, events });
  await deleteParts(bare);
}

const NOTHING = new Uint8Array(0);
const KEY = crypto.random(32);
const GROUP_EVENT = crypto.random(400);
const BARE_TABLE = `
  CREATE TABLE bare_parts (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sealed bytea);
  ALTER TABLE bare_parts ALTER sealed SET STORAGE EXTERNAL`;

const insertParts = rowsStatement<readonly [sealed: Uint8Array], never>(
  'bench_insert_parts',
  { types: ['bytea'], rowsMax: 16 },
  (values) => `INSERT INTO bare_parts (sealed) ${values}`,
);
const selectParts = statement<[], { sealed: Uint8Array }>(
  'bench_select_parts',
  'SELECT sealed FROM bare_parts ORDER BY number',
);
const deleteParts = statement<[], never>('bench_delete_parts', 'DELETE FROM bare_parts');
