import { encodeFanOut, HANDLE_BYTES, openFanOut, type Pair, readPair } from '@roost/bus/frames';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, type Uuid } from '@roost/core/ids';
import { type Clock, SECOND_MS } from '@roost/core/time';
import { decodeAll } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { groupTagOf, MESSAGE_ID_BYTES, signEnvelope } from '@roost/federation/envelope';
import { encodeEvents, type FederatedEvent } from '@roost/federation/payload';
import { type DeliveryResult, PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf } from '@roost/rpc/call';

import type { Channels } from '../channels.ts';
import type { OwnKeys } from '../own-keys.ts';
import type { Peers } from '../peers.ts';
import type { Policy } from '../policy.ts';
import type { OutboxRow } from '../outbox/store/rows.ts';

export interface PostPorts {
  readonly home: Domain;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly transportKey: Uint8Array;
  readonly policy: Pick<Policy, 'admit'>;
  readonly peers: Pick<Peers, 'find'>;
  readonly channels: Pick<Channels, 'to' | 'drop'>;
  readonly keys: Pick<OwnKeys, 'signer'>;
}

/** Events of a group, as they are sent. */
export interface Delivery {
  readonly id: Uuid;
  readonly events: readonly FederatedEvent[];
  /** Hex: whom they are for. */
  readonly handles: ReadonlySet<string>;
}

/** What the peer said of a delivery. */
export type Said =
  | { readonly kind: 'stored'; readonly mark: Pair; readonly gone: readonly Uint8Array[] }
  | { readonly kind: 'refused'; readonly reason: string; readonly retryAfterMs: number };

/** Our own policy keeps a destination out: what waits for it waits on. */
export class Denied extends Failure {
  constructor(cause: Failure) {
    super('FEDERATION_DENIED', cause.message, {}, cause);
  }
}

const DELIVER_PATH = '/roost.federation.v1.PeerService/Deliver';
const DEADLINE_MS = 20 * SECOND_MS;

/** Opens what waits, and brings it to the homeserver that it is for. Keeps nothing. */
export class Post {
  readonly #ports: PostPorts;

  constructor(ports: PostPorts) {
    this.#ports = ports;
  }

  /** What a row is to its destination; `undefined` where nobody can open it. */
  open({ id, kind, number, prev, sealed }: OutboxRow): Omit<Delivery, 'id'> | undefined {
    if (kind === 'head') {
      return { events: [{ kind, number, prev, fanOut: sealed }], handles: new Set() };
    }
    const { crypto, home, transportKey } = this.#ports;
    const groupId = GroupId.of(id, home);
    try {
      const fanOut = openFanOut(crypto, transportKey, { groupId, number, prev, sealed });
      if (fanOut === undefined) return undefined;
      // What traces it is ours.
      const { recipients, groupEvent } = fanOut;
      const event = { kind, number, prev, fanOut: encodeFanOut({ recipients, groupEvent }) };
      return { events: [event], handles: new Set(recipients.map(({ handle }) => toHex(handle))) };
    } catch (error) {
      if (error instanceof Failure) return undefined;
      throw error;
    }
  }

  /** One call: what the peer said, delivery by delivery. The policy is asked each time. */
  async send(
    destination: Domain,
    deliveries: readonly Delivery[],
    signal: AbortSignal,
  ): Promise<readonly Said[]> {
    const { channels, peers, policy } = this.#ports;
    const listing = await policy.admit(destination).catch((error: unknown) => {
      const isDenied = error instanceof Failure && error.reason === 'FEDERATION_DENIED';
      throw isDenied ? new Denied(error) : error;
    });
    const peer = await peers.find(destination);
    const channel = await channels.to(peer, listing?.endpoint);
    try {
      const { deliver } = clientOf(PeerServiceDefinition, channel);
      const signed = deliveries.map((delivery) => this.#sign(destination, delivery));
      const { results } = await deliver(
        { deliveries: signed },
        { deadlineMs: DEADLINE_MS, signal },
      );
      return saidOf(destination, deliveries, results);
    } catch (error) {
      if (!signal.aborted && error instanceof Failure && error.reason === 'UNAVAILABLE') {
        channels.drop(destination);
      }
      throw error;
    }
  }

  /** An envelope says when it was made: each try has its own. The peer's mark tells what it has already. */
  #sign(destination: Domain, { id, events }: Delivery) {
    const { home: source, crypto, clock, keys } = this.#ports;
    const groupId = GroupId.of(id, source);
    const payload = encodeEvents({ groupId, events });
    const between = { source, destination };
    const order = {
      ...{ ...between, method: DELIVER_PATH, createdMs: clock.now() },
      messageId: crypto.random(MESSAGE_ID_BYTES),
      groupTag: groupTagOf(crypto, { ...between, groupId }),
      number: events.at(-1)?.number,
    };
    return { envelope: signEnvelope(crypto, keys.signer, order, payload), payload };
  }
}

/** An answer that makes no sense is none. */
function saidOf(
  destination: Domain,
  deliveries: readonly Delivery[],
  results: readonly DeliveryResult[],
): readonly Said[] {
  if (results.length !== deliveries.length) {
    throw new Failure('UNAVAILABLE', `${destination} answered for another number of deliveries`);
  }
  return results.map(({ result }, at): Said => {
    if (result?.$case === 'refused') {
      const { reason, retryAfterMs } = result.value;
      return { kind: 'refused', reason, retryAfterMs };
    }
    if (result === undefined) return { kind: 'refused', reason: 'UNAVAILABLE', retryAfterMs: 0 };
    const mark = decodeAll(result.value.mark, 'mark', readPair);
    // A peer speaks of its own users: of nobody whom this was not for.
    const handles = deliveries[at]?.handles;
    const gone = result.value.gone.filter(
      (handle) => handle.length === HANDLE_BYTES && handles?.has(toHex(handle)),
    );
    return { kind: 'stored', mark, gone };
  });
}
