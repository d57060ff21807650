import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain, uuidOf, GroupId } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { AllInOne } from '@roost/e2e/all-in-one';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { Person } from '@roost/e2e/person';
import { assertSigned, groupTagOf, readEnvelope, signEnvelope } from '@roost/federation/envelope';
import { firstKey, trusted } from '@roost/federation/keys';
import { startEmbedded } from '@roost/postgres/embedded';
import {
  FederationAdminServiceDefinition,
  FederationMode,
} from '@roost/proto/roost/federation/v1/admin';
import { round, type Row } from './measure.ts';
import type { Bench, Scenario } from './scenario.ts';

/** What it costs that somebody is elsewhere, beside the same at home. */
export const federation: Scenario = {
  name: 'federation',
  about: 'messages to another homeserver beside those at home; envelopes signed and checked',
  async run(bench) {
    const rows = [...envelopes('a call', CALL_BYTES), ...envelopes('a full delivery', FULL_BYTES)];
    return [...rows, ...(await messages(bench))];
  },
};

const CALL_BYTES = 1_024;
/** As much as one delivery holds. */
const FULL_BYTES = 1 << 20;
const ENVELOPES_MS = 700;

/** On one core, as all of this runs on one. */
function envelopes(what: string, bytes: number): Row[] {
  const [source, destination] = DOMAINS.map((domain) => parseDomain(domain));
  if (source === undefined || destination === undefined) return [];
  const key = firstKey(crypto, source, Date.now() - 1_000);
  const keys = [trusted(crypto, key)];
  const payload = crypto.random(bytes);
  const groupId = GroupId.of(uuidOf(crypto.random(16)), source);
  const groupTag = groupTagOf(crypto, { source, destination, groupId });
  const method = '/roost.federation.v1.PeerService/Deliver';
  const order = { source, destination, method, createdMs: Date.now(), groupTag };
  const sign = () => signEnvelope(crypto, key, { ...order, messageId: crypto.random(16) }, payload);
  const signed = sign();
  const check = () => assertSigned(crypto, readEnvelope(signed), payload, keys);
  return [
    { what: `envelopes signed on one core, for ${what}`, figure: `${round(perSecond(sign))}/s` },
    { what: `envelopes checked on one core, for ${what}`, figure: `${round(perSecond(check))}/s` },
  ];
}

function perSecond(work: () => void): number {
  // Compiled before it is timed.
  for (let n = 0; n < 50; n++) work();
  const began = performance.now();
  let count = 0;
  while (performance.now() - began < ENVELOPES_MS) {
    for (let n = 0; n < 10; n++) work();
    count += 10;
  }
  return (count / (performance.now() - began)) * 1_000;
}

const DOMAINS = ['a.example', 'b.example'] as const;
const PAIRS = 4;
const MESSAGES = 150;
const MESSAGES_QUICK = 40;
const ROUNDS = 3;
const PATIENCE_MS = 60_000;

interface Pair {
  readonly from: Person;
  readonly to: Person;
  readonly chat: string;
}

/** The same people's clients and the same hub; half of those who read are at another homeserver. */
async function messages(bench: Bench): Promise<Row[]> {
  bench.progress('two homeservers, and people of both');
  await using stack = new AsyncDisposableStack();
  const { local, remote } = await openPairs(stack);
  const count = bench.quick ? MESSAGES_QUICK : MESSAGES;
  const spent = { local: 0, remote: 0 };
  const times = { local: new Array<number>(), remote: new Array<number>() };
  // In turns, so that what else this machine does meets both alike; the first is not counted.
  for (let turn = 0; turn <= ROUNDS; turn++) {
    for (const [name, pairs] of [
      ['local', local],
      ['remote', remote],
    ] as const) {
      bench.progress(`${name}, ${turn} of ${ROUNDS}`);
      const seconds = await written(pairs, `${name} ${turn}`, count);
      const one = await latencies(pairs[0], `${name} alone ${turn}`);
      if (turn === 0) continue;
      spent[name] += seconds;
      times[name].push(...one);
    }
  }
  const total = PAIRS * count * ROUNDS;
  const rates = { local: total / spent.local, remote: total / spent.remote };
  const ratio = rates.remote / rates.local;
  const [near, far] = [p50(times.local), p50(times.remote)];
  return [
    {
      what: `messages to another homeserver, ${PAIRS} conversations at once, with both clients`,
      figure: `${round(rates.remote)}/s`,
      bare: `${round(rates.local)}/s at home`,
      ...{ ratio, target: '>= 0.4', met: ratio >= 0.4 },
    },
    {
      what: 'one message alone, until it is read: median',
      figure: `${round(far)} ms`,
      bare: `${round(near)} ms at home`,
      ratio: near / far,
    },
  ];
}

async function openPairs(stack: AsyncDisposableStack) {
  const folder = mkdtempSync(join(tmpdir(), 'roost-federated-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
  // PostgreSQL runs as another user where we are root, and must get through.
  chmodSync(folder, 0o711);
  const cluster = await startEmbedded({ home: folder, log: () => undefined });
  stack.defer(async () => await cluster.stop());
  process.env['ROOST_TEST_POSTGRES'] =
    `postgres:///postgres?host=${encodeURIComponent(cluster.host)}`;
  const neighbourhood = stack.use(await Neighbourhood.open(DOMAINS));
  const worlds: AllInOne[] = [];
  for (const domain of DOMAINS) {
    const world = stack.use(await AllInOne.open({ domain, neighbourhood }));
    await world.operator(FederationAdminServiceDefinition).setMode({ mode: FederationMode.OPEN });
    worlds.push(world);
  }
  const [a, b] = worlds;
  if (a === undefined || b === undefined) throw new Error('both are open');
  const come = async (name: string, { door }: AllInOne) =>
    stack.use(await Person.come(name, { ...door, folder }));
  const pair = async (name: string, at: AllInOne): Promise<Pair> => {
    const [from, to] = [await come(`from-${name}`, a), await come(`to-${name}`, at)];
    const [asking, asked] = [from.client.userName, to.client.userName];
    await from.client.connect(asked);
    await to.until('request', (event) => event.name === asking, PATIENCE_MS);
    await to.client.accept(asking);
    const isIt = (event: { readonly name: string }) => event.name === asked;
    return { from, to, chat: (await from.until('connected', isIt, PATIENCE_MS)).chat };
  };
  const pairs = { local: new Array<Pair>(), remote: new Array<Pair>() };
  for (let n = 0; n < PAIRS; n++) {
    pairs.local.push(await pair(`home-${n}`, a));
    pairs.remote.push(await pair(`away-${n}`, b));
  }
  return pairs;
}

/** Seconds until the last of so many messages in each conversation is read. */
async function written(pairs: readonly Pair[], word: string, count: number): Promise<number> {
  const began = performance.now();
  await Promise.all(
    pairs.map(async ({ from, to, chat }) => {
      for (let n = 0; n < count; n++) await from.client.send(chat, `${word} ${n}`);
      const last = `${word} ${count - 1}`;
      await to.until('message', ({ text }) => text === last, PATIENCE_MS);
    }),
  );
  return (performance.now() - began) / 1_000;
}

const ALONE = 15;

async function latencies(pair: Pair | undefined, word: string): Promise<number[]> {
  if (pair === undefined) return [];
  const times: number[] = [];
  for (let n = 0; n < ALONE; n++) {
    const began = performance.now();
    await pair.from.client.send(pair.chat, `${word} ${n}`);
    await pair.to.until('message', ({ text }) => text === `${word} ${n}`, PATIENCE_MS);
    times.push(performance.now() - began);
  }
  return times;
}

function p50(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0;
}
