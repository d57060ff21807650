import { nodeCrypto } from '@roost/crypto/node';
import { parseHandshake } from '@roost/mls/message';
import type { PublicGroup } from '@roost/mls/public-group';
import { stageCommit } from '@roost/mls/stage';
import { decodePublicGroup, encodePublicGroup } from '@roost/mls/stored';
import { type MadeCommit, makeCommit, newActor } from '@roost/mls/testing';
import { byTurns, round, type Row } from './measure.ts';
import type { Bench, Scenario } from './scenario.ts';

/** What it costs the DS to check a commit: the path grows with the logarithm of the group. */
export const commits: Scenario = {
  name: 'commits',
  about: 'validation of a commit in a group of 1,000, beside one of 10',
  async run(bench) {
    const { quick } = bench;
    const small = await makeSized(bench, 10);
    const large = await makeSized(bench, 1_000);
    bench.progress('checking commits');
    const rows: Row[] = [];
    for (const what of KINDS) {
      const [ours, bare] = [large.made[what], small.made[what]];
      const row = await compare(what, quick ? 30 : 150, {
        ours: () => check(large.group, ours),
        bare: () => check(small.group, bare),
      });
      rows.push({ ...row, target: '<= 4', met: (row.ratio ?? 0) <= 4 });
    }
    const cold = await compare('update, cold: decoded first', quick ? 10 : 50, {
      ours: () => check(decodePublicGroup(nodeCrypto, large.snapshot), large.made.update),
      bare: () => check(decodePublicGroup(nodeCrypto, small.snapshot), small.made.update),
    });
    return [...rows, cold];
  },
};

const KINDS = ['update', 'add', 'remove'] as const;
const ROUNDS = 3;

interface Sized {
  readonly group: PublicGroup;
  readonly snapshot: Uint8Array;
  readonly made: Readonly<Record<(typeof KINDS)[number], MadeCommit>>;
}

async function makeSized(bench: Bench, size: number): Promise<Sized> {
  const settled = await bench.settled(size);
  const { group } = settled;
  const founder = settled.founder.actor;
  const { keyPackage } = await newActor(nodeCrypto, 'newcomer');
  const remove = { proposalType: 'remove' as const, remove: { removed: size - 1 } };
  return {
    group,
    snapshot: encodePublicGroup(group),
    made: {
      update: await makeCommit(founder),
      add: await makeCommit(founder, [{ proposalType: 'add', add: { keyPackage } }]),
      remove: await makeCommit(founder, [remove]),
    },
  };
}

function check(group: PublicGroup, made: MadeCommit): void {
  const message = parseHandshake(made.tls);
  if (message.kind !== 'commit') throw new Error('it is a commit');
  stageCommit(group, message, { ...made, now: Date.now() });
}

async function compare(
  what: string,
  runs: number,
  { ours, bare }: { readonly ours: () => void; readonly bare: () => void },
): Promise<Row> {
  const many = (work: () => void) => async (): Promise<void> => {
    for (let run = 0; run < runs; run++) work();
  };
  const spent = await byTurns(0, ROUNDS, many(ours), many(bare));
  const each = (seconds: number): string => `${round((seconds / runs / ROUNDS) * 1_000)} ms`;
  return {
    what: `${what}: 1,000 beside 10`,
    figure: each(spent.ours.node),
    bare: each(spent.bare.node),
    ratio: spent.ours.node / spent.bare.node,
  };
}
