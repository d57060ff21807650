// Events of a hub at A for users of B, as A's gateway sends them: what B's QS is given, and what A hears.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import {
  comparePairs,
  decodeBusBatch,
  encodeBusAnswer,
  encodeFanOut,
  encodePair,
  type FanOut,
  firstPair,
  openFanOut,
  type Pair,
} from '@roost/bus/frames';
import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, printId, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type EnvelopeOrder, groupTagOf, signEnvelope } from '@roost/federation/envelope';
import { encodeEvents, type FederatedEvent } from '@roost/federation/payload';
import { type DeliveryResult, PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { TestClock } from '@roost/testing/clock';

import { freePort, HOMES, openHome } from './homeserver.fixture.ts';
import { putListing } from './store/policy.ts';

const [A, B, C] = HOMES as [Domain, Domain, Domain];
const DELIVER = '/roost.federation.v1.PeerService/Deliver';
const clock = new TestClock();
let a: Awaited<ReturnType<typeof openHome>>;
let b: Awaited<ReturnType<typeof openHome>>;
let given: { source: Domain; groupId: GroupId; number: Pair; fanOut: FanOut | undefined }[];
let marks: Map<string, Pair>;
let gone: { groupId: GroupId; handle: Uint8Array }[];
let isAway: boolean;

beforeAll(async () => {
  const port = await freePort('127.0.0.2');
  [a, b] = await Promise.all([openHome(A, clock, port), openHome(B, clock, port)]);
  for (const domain of [A, C]) {
    const listing = { domain, kind: 'allowed' as const, endpoint: '', note: '', sinceMs: 0 };
    await putListing(b.database, listing);
  }
  // As B's QS keeps its marks.
  b.bus.serve(async (bytes) => {
    if (isAway) throw new Failure('UNAVAILABLE', 'the QS is away');
    const { source, events } = decodeBusBatch(bytes);
    for (const event of events) {
      const name = printId(event.groupId);
      const mark = marks.get(name) ?? firstPair;
      if (comparePairs(event.prev, mark) > 0 || comparePairs(mark, event.number) >= 0) continue;
      const isEvent = event.kind === 'event';
      const fanOut = isEvent ? openFanOut(crypto, b.transportKey, event) : undefined;
      given.push({ source, groupId: event.groupId, number: event.number, fanOut });
      marks.set(name, event.number);
    }
    const groups = new Map(events.map(({ groupId }) => [printId(groupId), groupId]));
    const told = [...groups].map(([name, groupId]) => ({
      groupId,
      mark: marks.get(name) ?? firstPair,
    }));
    return encodeBusAnswer({ marks: told, gone });
  });
});
afterAll(async () => {
  await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
});
beforeEach(() => {
  [given, marks, gone, isAway] = [[], new Map(), [], false];
});

const groupOf = (n: number, domain = A) => GroupId.of(uuidOf(new Uint8Array(16).fill(n)), domain);
const pair = (n: number): Pair => ({ incarnation: 1, n: BigInt(n) });
const fanOut: FanOut = {
  trace: new Uint8Array(24).fill(5),
  recipients: [{ handle: crypto.random(32), pushKey: crypto.random(32), extra: new Uint8Array(0) }],
  groupEvent: utf8('an event'),
};
const event = (n: number, changes: Partial<FederatedEvent> = {}): FederatedEvent => ({
  ...{ kind: 'event', number: pair(n), prev: n === 1 ? firstPair : pair(n - 1) },
  ...{ fanOut: encodeFanOut(fanOut), ...changes },
});

function delivery(
  groupId: GroupId,
  events: readonly FederatedEvent[],
  changes: Partial<EnvelopeOrder> = {},
) {
  const payload = encodeEvents({ groupId, events });
  const between = { source: A, destination: B };
  const order = {
    ...{ ...between, method: DELIVER, createdMs: clock.now(), messageId: crypto.random(16) },
    ...{ groupTag: groupTagOf(crypto, { ...between, groupId }), number: events.at(-1)?.number },
  };
  const signer = a.gateway.keys.signer;
  return { envelope: signEnvelope(crypto, signer, { ...order, ...changes }, payload), payload };
}

async function deliver(...deliveries: readonly ReturnType<typeof delivery>[]) {
  const client = clientOf(PeerServiceDefinition, localTransport(b.gateway.bindings, 'peer'));
  return (await client.deliver({ deliveries })).results.map(said);
}

function said({ result }: DeliveryResult): string {
  if (result?.$case === 'refused') return result.value.reason;
  const mark = [...(result?.value.mark ?? [])].slice(-1)[0];
  return `${mark}${result !== undefined && result.value.gone.length > 0 ? ' gone' : ''}`;
}

test('events get to the QS under their numbers, under our own key, and without their trace', async () => {
  const group = groupOf(1);
  expect(await deliver(delivery(group, [event(1), event(2)]))).toEqual(['2']);
  const { recipients, groupEvent } = fanOut;
  expect(given).toEqual(
    [1, 2].map((n) => ({
      ...{ source: A, groupId: group, number: pair(n) },
      fanOut: { recipients, groupEvent },
    })),
  );
  // Twice is once.
  expect(await deliver(delivery(group, [event(1), event(2)]))).toEqual(['2']);
  expect(given).toHaveLength(2);
});

test('a mark is told as it is, and gaps and heads get there too', async () => {
  const group = groupOf(2);
  const nothing = { fanOut: new Uint8Array(0) };
  expect(await deliver(delivery(group, [event(5)]))).toEqual(['0']);
  const gap = event(4, { kind: 'gap', prev: firstPair, ...nothing });
  expect(await deliver(delivery(group, [gap, event(5)]))).toEqual(['5']);
  const head = event(9, { kind: 'head', prev: pair(9), ...nothing });
  expect(await deliver(delivery(group, [head]))).toEqual(['5']);
  expect(encodePair(pair(5))).toHaveLength(12);
});

test('one that is bad is refused alone, and what came with it arrives', async () => {
  const [one, two, three] = [groupOf(3), groupOf(4), groupOf(5)];
  const torn = delivery(two, [event(1, { fanOut: utf8('no fan-out') })]);
  const turned = { ...delivery(two, [event(1)]), payload: utf8('x') };
  expect(
    await deliver(
      ...[delivery(one, [event(1)]), torn, delivery(three, [event(1)]), turned],
      delivery(one, [event(2)]),
    ),
  ).toEqual(['2', 'MALFORMED', '1', 'BAD_ENVELOPE', '2']);
  expect(given.map(({ groupId }) => printId(groupId)).toSorted()).toEqual(
    [one, one, three].map(printId).toSorted(),
  );
});

test('a hub delivers for its own groups alone, and nobody for it', async () => {
  const other = groupOf(6, C);
  const tagOf = (source: Domain) => groupTagOf(crypto, { source, destination: B, groupId: other });
  const own = groupOf(6, B);
  expect(
    await deliver(
      // A speaks of a group of C, and of one of B's own.
      delivery(other, [event(1)]),
      delivery(own, [event(1)]),
      // A says that it is C; C cannot be found here, and A's key is not C's.
      delivery(other, [event(1)], { source: C, groupTag: tagOf(C) }),
      delivery(groupOf(6), [event(1)], { groupTag: tagOf(A) }),
      delivery(groupOf(6), [event(1)], { number: pair(2) }),
      delivery(groupOf(6), [event(1)], { method: DELIVER.replace('Deliver', 'Call') }),
    ),
  ).toEqual([
    ...['BAD_ENVELOPE', 'BAD_ENVELOPE', 'UNAVAILABLE'],
    ...['BAD_ENVELOPE', 'BAD_ENVELOPE', 'BAD_ENVELOPE'],
  ]);
  expect(given).toEqual([]);
});

test('while the QS is away the hub hears so and keeps what it has', async () => {
  isAway = true;
  const group = groupOf(7);
  expect(await deliver(delivery(group, [event(1)]))).toEqual(['UNAVAILABLE']);
  isAway = false;
  expect(await deliver(delivery(group, [event(1)]))).toEqual(['1']);
});

test('the hub hears whose queue is gone, of its own group alone', async () => {
  const [one, two] = [groupOf(8), groupOf(9)];
  gone = [{ groupId: one, handle: new Uint8Array(32).fill(1) }];
  const told = await deliver(delivery(one, [event(1)]), delivery(two, [event(1)]));
  expect(told).toEqual(['1 gone', '1']);
});

test('no deliveries, or too many of them, are refused as a whole', async () => {
  await expect(deliver()).rejects.toMatchObject({ reason: 'MALFORMED' });
  const one = delivery(groupOf(10), [event(1)]);
  await expect(deliver(...Array.from({ length: 65 }, () => one))).rejects.toMatchObject({
    reason: 'MALFORMED',
  });
  expect(given).toEqual([]);
});
