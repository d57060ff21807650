import {
  BATCH_EVENTS_MAX,
  type BusAnswer,
  type BusEvent,
  decodeBusAnswer,
  decodeFanOut,
  encodeBusBatch,
  encodePair,
  firstPair,
  partitionOf,
  sealFanOut,
} from '@roost/bus/frames';
import type { Bus } from '@roost/bus/ports';
import { Failure, malformed } from '@roost/core/failure';
import { type Domain, type GroupId, printId } from '@roost/core/ids';
import { SECOND_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { assertGroup, assertNumber, BadEnvelope, type Envelope } from '@roost/federation/envelope';
import { decodeEvents, type FederatedEvent } from '@roost/federation/payload';
import type {
  Delivery,
  DeliveryResult,
  PeerServiceDefinition,
} from '@roost/proto/roost/federation/v1/peer';
import type { Handlers } from '@roost/rpc/service';
import type { Door, Knock } from '../door.ts';

export interface DeliverPorts {
  readonly crypto: Crypto;
  readonly door: Door;
  /** To our own QS. */
  readonly bus: Bus;
  /** 32 bytes, shared with it. */
  readonly transportKey: Uint8Array;
}

/** A delivery that may be given to the QS. */
interface Opened {
  readonly source: Domain;
  readonly groupId: GroupId;
  readonly events: readonly BusEvent[];
}

const DELIVER_PATH = '/roost.federation.v1.PeerService/Deliver';
const DELIVERIES_MAX = 64;
const GONE_MAX = 256;
const BUS_MS = 10 * SECOND_MS;
const MESSAGE_CHARACTERS_MAX = 512;

/**
 * Gives what another hub has for our users to the QS, under the same numbers: its marks are what the hub
 * hears. Nothing is kept here. Whatever is wrong with one delivery is said of that one alone.
 */
export function deliverHandler(
  ports: DeliverPorts,
): Handlers<typeof PeerServiceDefinition>['deliver'] {
  return async ({ deliveries }, from) => {
    if (deliveries.length === 0 || deliveries.length > DELIVERIES_MAX) {
      throw malformed('deliveries', `are not 1 to ${DELIVERIES_MAX}`);
    }
    const opened = await Promise.all(
      deliveries.map((delivery) => settled(open(ports, delivery, from))),
    );
    const answers = new Map<string, Promise<BusAnswer | Failure>>();
    const good = opened.flatMap((each) => (each instanceof Failure ? [] : [each]));
    const byLane = Map.groupBy(good, ({ source, groupId }) => {
      return `${partitionOf(ports.crypto, groupId)} ${source}`;
    });
    for (const [lane, those] of byLane) answers.set(lane, settled(hand(ports, those)));
    const results = opened.map(async (each) => {
      if (each instanceof Failure) return refused(each);
      const lane = `${partitionOf(ports.crypto, each.groupId)} ${each.source}`;
      const answer = await answers.get(lane);
      return answer instanceof Failure ? refused(answer) : stored(each.groupId, answer);
    });
    return { results: await Promise.all(results) };
  };
}

async function open(
  ports: DeliverPorts,
  { envelope: bytes, payload }: Delivery,
  from: Knock['from'],
): Promise<Opened> {
  const knock = { method: DELIVER_PATH, kind: 'group', cost: 1, from } as const;
  return await ports.door.admit([bytes, payload], knock, async ({ envelope }) =>
    openEvents(ports, envelope, payload),
  );
}

function openEvents(ports: DeliverPorts, envelope: Envelope, payload: Uint8Array): Opened {
  const { source } = envelope;
  const { groupId, events } = decodeEvents(payload);
  // A hub speaks of its own groups.
  if (groupId.domain !== source) throw new BadEnvelope('group', 'its source is not the hub');
  assertGroup(ports.crypto, envelope, groupId);
  assertNumber(envelope, events.at(-1)?.number ?? firstPair);
  return { source, groupId, events: events.map((event) => busEventOf(ports, groupId, event)) };
}

/** Under the key that we share with our QS instead of under TLS. */
function busEventOf(
  { crypto, transportKey }: DeliverPorts,
  groupId: GroupId,
  { kind, number, prev, fanOut }: FederatedEvent,
): BusEvent {
  const place = { groupId, number, prev };
  if (kind !== 'event') return { kind, ...place, sealed: fanOut };
  const { recipients, groupEvent } = decodeFanOut(fanOut);
  // What traces them is theirs.
  const sealed = sealFanOut(crypto, transportKey, place, { recipients, groupEvent });
  return { kind, ...place, sealed };
}

/** All of one source and partition, in their order; the last answer about a group counts. */
async function hand({ bus, crypto }: DeliverPorts, those: readonly Opened[]): Promise<BusAnswer> {
  const [first] = those;
  if (first === undefined) return { marks: [], gone: [] };
  const { source, groupId } = first;
  const partition = partitionOf(crypto, groupId);
  const events = those.flatMap((each) => each.events);
  const [marks, gone] = [[] as BusAnswer['marks'][number][], [] as BusAnswer['gone'][number][]];
  for (let at = 0; at < events.length; at += BATCH_EVENTS_MAX) {
    const batch = encodeBusBatch({ source, events: events.slice(at, at + BATCH_EVENTS_MAX) });
    const answer = decodeBusAnswer(await bus.request(partition, batch, { timeoutMs: BUS_MS }));
    marks.push(...answer.marks);
    gone.push(...answer.gone);
  }
  return { marks, gone };
}

async function settled<T>(work: Promise<T>): Promise<T | Failure> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

function stored(groupId: GroupId, answer: BusAnswer | undefined): DeliveryResult {
  const name = printId(groupId);
  const mark = answer?.marks.findLast((each) => printId(each.groupId) === name)?.mark;
  const gone = (answer?.gone ?? []).filter((each) => printId(each.groupId) === name);
  return {
    result: {
      $case: 'stored',
      value: {
        mark: encodePair(mark ?? firstPair),
        gone: gone.slice(0, GONE_MAX).map(({ handle }) => handle),
      },
    },
  };
}

function refused({ reason, message, facts }: Failure): DeliveryResult {
  const value = {
    reason,
    message: message.slice(0, MESSAGE_CHARACTERS_MAX),
    retryAfterMs: Math.min(facts.retryAfterMs ?? 0, 0xffff_ffff),
  };
  return { result: { $case: 'refused', value } };
}
