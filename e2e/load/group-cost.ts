import { utf8 } from '@roost/core/bytes';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { prepare } from '@roost/ds/testing/deeds.fixture';
import { asMember, person, where } from '@roost/ds/testing/people.fixture';
import { makeApplication } from '@roost/mls/testing';
import { CommitResponse, DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf, type Outgoing } from '@roost/rpc/call';
import { domain, signing } from './house.ts';
import { byTurns, round, type Row } from './measure.ts';
import { Recorder } from './outgoing.ts';
import type { Bench, Scenario } from './scenario.ts';
import { installSettled, type Settled } from './settled.ts';
import { type LoneDs, openLoneDs } from './sink.ts';

/**
 * What the DS alone spends on a request, from its bytes to the row that is deleted once it went out.
 * Beside it, what whoever only verifies the signatures in it spends.
 */
export const groupCost: Scenario = {
  name: 'group-cost',
  about: 'CPU of the DS for an update commit, an add and a send, by the size of the group',
  async run(bench) {
    const house = await bench.house();
    await using ds = await openLoneDs(house);
    const costs = new Map<string, number>();
    const rows: Row[] = [];
    for (const size of SIZES) {
      const settled = await bench.settled(size);
      await installSettled(ds.edge, settled);
      bench.progress(`group of ${size}`);
      for (const deed of DEEDS) {
        const { row, ms } = await measure(bench, ds, settled, { size, deed });
        rows.push(row);
        costs.set(`${deed} ${size}`, ms);
      }
    }
    for (const deed of DEEDS) {
      const [large = NaN, small = NaN] = [1_000, 10].map((size) => costs.get(`${deed} ${size}`));
      rows.push({
        what: `${deed}: 1,000 beside 10`,
        figure: `${round(large)} ms`,
        bare: `${round(small)} ms`,
        ratio: large / small,
      });
    }
    return rows;
  },
};

const SIZES = [2, 10, 100, 1_000];
const DEEDS = ['update', 'add', 'send'] as const;
type Deed = (typeof DEEDS)[number];

/**
 * Of the request, of the commit, of its leaf and of its GroupInfo; an add brings a KeyPackage and its leaf
 * besides.
 */
const SIGNATURES: Record<Deed, number> = { update: 4, add: 6, send: 1 };
const COUNT: Record<Deed, number> = { update: 12, add: 12, send: 100 };
const COUNT_QUICK: Record<Deed, number> = { update: 3, add: 3, send: 15 };
const ROUNDS = 3;

interface Measured {
  readonly row: Row;
  readonly ms: number;
}

async function measure(
  bench: Bench,
  { edge, emptied }: LoneDs,
  settled: Settled,
  { size, deed }: { readonly size: number; readonly deed: Deed },
): Promise<Measured> {
  const { postmaster } = await bench.house();
  const count = (bench.quick ? COUNT_QUICK : COUNT)[deed];
  const turns: (readonly Outgoing[])[] = [];
  while (turns.length <= ROUNDS) turns.push(await record(settled, deed, count));
  const verify = verifier();
  const { ours, bare } = await byTurns(
    postmaster,
    ROUNDS,
    async (turn) => {
      for (const call of turns[turn] ?? []) {
        const answer = await edge.unary(call);
        if (deed === 'send') continue;
        const { result } = CommitResponse.decode(answer);
        if (result?.$case !== 'accepted') throw new Error('these commits have no rivals');
      }
      await emptied();
    },
    async () => {
      for (let at = 0; at < count * SIGNATURES[deed]; at++) verify();
    },
  );
  const each = (seconds: number): number => (seconds / count / ROUNDS) * 1_000;
  const ms = each(ours.node + ours.postgres);
  const row = {
    what: `group of ${size}: ${deed}`,
    figure: `${round(each(ours.node))} + ${round(each(ours.postgres))} ms CPU`,
    bare: `its signatures (${SIGNATURES[deed]}) ${round(each(bare.node))} ms`,
    ratio: ms / each(bare.node),
  };
  return { row, ms };
}

/** Requests of the founder, each made on the one before it, signed and ready to go. */
async function record(
  { room, founder }: Settled,
  deed: Deed,
  count: number,
): Promise<readonly Outgoing[]> {
  const recorder = new Recorder();
  const ds = clientOf(DeliveryServiceDefinition, recorder, signing);
  for (let at = 0; at < count; at++) {
    if (deed === 'send') {
      const tls = await makeApplication(founder.actor, utf8(TEXT));
      void ds.sendMessage({ ...where(room), message: { tls } }, asMember(founder));
    } else {
      const add = deed === 'add' ? [await person('newcomer', { domain })] : [];
      const { made, request } = await prepare(founder, room, { add });
      founder.actor.state = made.state;
      void ds.commit(request, asMember(founder));
    }
  }
  return recorder.calls;
}

/** One Ed25519 signature, by the key object that it is kept as. */
function verifier(): () => void {
  const { publicKey, privateKey } = crypto.ed25519.generate();
  const message = crypto.random(400);
  const signature = crypto.ed25519.sign(privateKey, message);
  return () => {
    if (!crypto.ed25519.verify(publicKey, message, signature)) throw new Error('it is good');
  };
}

const TEXT = 'x'.repeat(200);
