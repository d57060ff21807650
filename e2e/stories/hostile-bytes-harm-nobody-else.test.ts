// Issue 4, "Bad input": mutated commits, proposals, GroupInfos, Welcomes and KeyPackages against a
// running homeserver. 1,500 here; all 10,000 by `npm run fuzz -- ds`.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure, type Reason } from '@roost/core/failure';
import { sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { idSigners } from '@roost/e2e/chores';
import { dump } from '@roost/e2e/dump';
import { attack, type Aim, KINDS } from '@roost/e2e/hostile';
import { randomOf } from '@roost/e2e/random';
import { Tokens } from '@roost/e2e/tokens';
import { type Door, Victim } from '@roost/e2e/victim';
import { Witness } from '@roost/e2e/witness';
import { World } from '@roost/e2e/world';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import {
  PublishAddPackagesRequest,
  QueueServiceDefinition,
} from '@roost/proto/roost/queue/v1/queue';
import { clientOf } from '@roost/rpc/call';
import { connectTo } from '@roost/e2e/door';
import type { Channel } from '@roost/rpc/client';

const count = Number(process.env['ROOST_HOSTILE_COUNT'] ?? 1_500);
const seed = Number(process.env['ROOST_SEED'] ?? 4);
/** So many attempts between two looks at what is stored; beside every fourth lot others send. */
const LOT = 6;
const SENDS_BESIDE = 3;
/** After so many lots a group that nobody broke shows that it works, and gives way to another. */
const LOTS_A_GROUP = 40;
/** What the table has for bad messages; nothing else may be heard. */
const EXPECTED: readonly Reason[] = [
  ...(['MALFORMED', 'INVALID_MLS', 'INVALID_PROPOSAL', 'GROUP_INFO_MISMATCH'] as const),
  ...(['WELCOME_MISMATCH', 'TOO_LARGE', 'NOT_ALLOWED', 'EPOCH_TOO_OLD', 'EPOCH_UNKNOWN'] as const),
  ...(['GROUP_UNKNOWN', 'FEDERATION_DENIED', 'LIMIT_REACHED', 'ALREADY_EXISTS'] as const),
];

let world: World;
let channel: Channel;
let door: Door;
let packages: Aim['packages'];
/** All of the DS: every row is some group's. */
let tables: readonly string[];

beforeAll(async () => {
  world = await World.open();
  const witness = await Witness.come(world.door, 'hostile-hal');
  const { qsClient } = await idSigners(witness);
  const [published] = witness.recorder.of('PublishAddPackages');
  const tokens = await Tokens.of(witness, world.door);
  await witness[Symbol.asyncDispose]();
  const withGroups = await world.databases.ds.query<{ name: string }>({
    text: `SELECT table_name AS name FROM information_schema.columns
            WHERE table_schema = 'public' AND column_name = 'group_id' ORDER BY 1`,
  });
  tables = withGroups.map(({ name }) => name);
  channel = connectTo(world.door);
  const signing = { crypto, clock: systemClock, audience: world.domain };
  const delivery = clientOf(DeliveryServiceDefinition, channel, signing);
  const queue = clientOf(QueueServiceDefinition, channel, signing);
  const request = PublishAddPackagesRequest.decode(published?.request ?? new Uint8Array(0));
  packages = { queue, signer: qsClient, request };
  door = { world, delivery, pay: async () => ({ token: await tokens.takeRaw('general') }) };
});
afterAll(async () => {
  channel.close();
  await world[Symbol.asyncDispose]();
});

/** All rows of the group and the QS, and how many there are of all others, once all has left. */
async function kept({ room }: Victim): Promise<string> {
  const { ds, qs } = world.databases;
  const waiting = { text: 'SELECT FROM outbox LIMIT 1' };
  while ((await ds.query(waiting)).length > 0) await sleep(5);
  const rows: unknown[] = [...(await dump(qs))];
  for (const name of tables) {
    const own = `SELECT t::text AS row FROM "${name}" t WHERE group_id = $1 ORDER BY 1`;
    rows.push(await ds.query({ text: own, values: [room.id.uuid] }));
    rows.push(await ds.query({ text: `SELECT count(*)::integer AS count FROM "${name}"` }));
  }
  return JSON.stringify(rows);
}

/** What a lot of mutants heard; ends early where one was taken, as its group is another then. */
async function lot(random: () => number, victim: Victim, heard: Map<string, number>) {
  for (let at = 0; at < LOT; at++) {
    const kind = KINDS[Math.floor(random() * KINDS.length)] ?? 'commit';
    const aim: Aim = { victim, delivery: door.delivery, packages, pay: door.pay };
    const end = await attack(random, kind, aim).catch((error: unknown) => {
      if (error instanceof Failure && EXPECTED.includes(error.reason)) return error.reason;
      throw new Error(`seed ${seed}: a ${kind} ended badly`, { cause: error });
    });
    heard.set(`${kind}: ${end}`, (heard.get(`${kind}: ${end}`) ?? 0) + 1);
    if (end === 'accepted') return { sent: at + 1, accepted: true };
  }
  return { sent: LOT, accepted: false };
}

async function sends(neighbour: Victim, times: number): Promise<number[]> {
  const taken: number[] = [];
  while (taken.length < times) taken.push(await neighbour.send());
  return taken;
}

function p95(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? 0;
}

test(
  `of ${count} mutated messages none harms its group or others`,
  async () => {
    const random = randomOf(seed);
    const heard = new Map<string, number>();
    const neighbour = await Victim.make(door);
    const alone = await sends(neighbour, 60);
    const beside: number[] = [];
    let victim = await Victim.make(door);
    let [sent, looked] = [0, 0];
    for (let lots = 0; sent < count; lots++) {
      const isWatched = lots % 4 !== 3;
      const before = isWatched ? await kept(victim) : '';
      const sending = isWatched ? undefined : sends(neighbour, SENDS_BESIDE);
      const { sent: more, accepted } = await lot(random, victim, heard);
      sent += more;
      beside.push(...((await sending) ?? []));
      if (accepted) {
        // What a server cannot judge was changed, or nothing that matters: members tell them apart.
        victim = await Victim.make(door);
      } else if (isWatched) {
        looked += more;
        expect((await kept(victim)) === before).toBe(true);
      }
      if (lots % LOTS_A_GROUP === LOTS_A_GROUP - 1) {
        expect(await victim.isUsable()).toBe(true);
        victim = await Victim.make(door);
      }
    }
    expect(await victim.isUsable()).toBe(true);
    const [quiet, loud] = [p95(alone), p95(beside)];
    process.stdout.write(`seed ${seed}: ${sent} sent, ${looked} of them between equal dumps\n`);
    for (const [end, times] of heard) process.stdout.write(`  ${end} ${times}\n`);
    process.stdout.write(
      `  p95 of sends: ${quiet.toFixed(1)} ms alone, ${loud.toFixed(1)} ms beside\n`,
    );
    expect(looked).toBeGreaterThan(count / 8);
    expect(loud).toBeLessThan(quiet * 10 + 250);
  },
  Math.max(240_000, count * 120),
);
