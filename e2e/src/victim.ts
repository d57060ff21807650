import { GroupId, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { leaveProposal, prepare } from '@roost/ds/testing/deeds.fixture';
import {
  asMember,
  asNew,
  foundingOf,
  NOTHING,
  type Person,
  person,
  type Room,
  roomStateOf,
  where,
} from '@roost/ds/testing/people.fixture';
import { createPublicGroup, type PublicGroup } from '@roost/mls/public-group';
import { joinByWelcome, type MadeCommit, makeApplication, receive } from '@roost/mls/testing';
import type {
  CommitRequest,
  DeliveryServiceDefinition,
} from '@roost/proto/roost/delivery/v1/delivery';
import type { CallOptions } from '@roost/rpc/call';
import type { Client } from '@roost/rpc/client';
import type { World } from './world.ts';

/** A commit that the hub would take now, with what its maker made it from. */
export interface Prepared {
  readonly made: MadeCommit;
  readonly request: CommitRequest;
}

export type Delivery = Client<typeof DeliveryServiceDefinition>;
export type Pay = () => Promise<Pick<CallOptions, 'token'>>;

/** How a victim reaches its hub. */
export interface Door {
  readonly world: World;
  readonly delivery: Delivery;
  readonly pay: Pay;
}

/** A group of two at a running hub, and what its members could send next. */
export class Victim {
  readonly room: Room;
  readonly founder: Person;
  readonly other: Person;
  readonly group: PublicGroup;
  /** An update, an Add with its Welcome, a change of the room. */
  readonly commits: readonly [Prepared, Prepared, Prepared];
  /** By the other: to leave. */
  readonly proposal: Uint8Array;
  readonly #door: Door;

  static async make(door: Door): Promise<Victim> {
    const { world, delivery, pay } = door;
    const { domain } = world;
    const make = (name: string) => person(name, { domain });
    const [founder, other, joiner] = await Promise.all([make('a'), make('b'), make('c')]);
    const room = { id: GroupId.of(uuidOf(crypto.random(16)), domain), earKey: crypto.random(32) };
    const { externalSender } = await delivery.getExternalSender({});
    const founding = { externalSenders: [externalSender] };
    const request = await foundingOf(founder, room, 'group', founding);
    await delivery.createGroup(request, { ...asNew(founder), ...(await pay()) });
    const grown = await prepare(founder, room, { add: [other] });
    await delivery.commit(grown.request, { ...asMember(founder), ...(await pay()) });
    founder.actor.state = grown.made.state;
    const asked = { ...asMember(founder), ...(await pay()) };
    const { groupInfo, ratchetTree } = await delivery.getGroupInfo(where(room), asked);
    const [info, tree] = [groupInfo?.tls ?? NOTHING, ratchetTree?.tls ?? NOTHING];
    await joinByWelcome(other.actor, grown.made.welcome ?? NOTHING, tree);
    const state = roomStateOf(founder, 'group', 'another title');
    return new Victim(door, {
      ...{ room, founder, other },
      group: createPublicGroup(crypto, info, tree, Date.now()),
      commits: [
        await prepare(founder, room),
        await prepare(founder, room, { add: [joiner] }),
        await prepare(founder, room, { room: state }),
      ],
      proposal: await leaveProposal(other),
    });
  }

  private constructor(
    door: Door,
    parts: Pick<Victim, 'room' | 'founder' | 'other' | 'group' | 'commits' | 'proposal'>,
  ) {
    this.#door = door;
    this.room = parts.room;
    this.founder = parts.founder;
    this.other = parts.other;
    this.group = parts.group;
    this.commits = parts.commits;
    this.proposal = parts.proposal;
  }

  /** Whether its members can still do what they could: commit, follow, speak. Ends its epoch. */
  async isUsable(): Promise<boolean> {
    const { delivery, pay } = this.#door;
    const [{ made, request }] = this.commits;
    const { result } = await delivery.commit(request, {
      ...asMember(this.founder),
      ...(await pay()),
    });
    if (result?.$case !== 'accepted') return false;
    await receive(this.other.actor, made.tls);
    const message = { tls: await makeApplication(this.other.actor, NOTHING) };
    const asked = { ...asMember(this.other), ...(await pay()) };
    await delivery.sendMessage({ ...where(this.room), message }, asked);
    return true;
  }

  /** A message of the founder, and how long it took, in ms. */
  async send(): Promise<number> {
    const { delivery, pay } = this.#door;
    const message = { tls: await makeApplication(this.founder.actor, crypto.random(200)) };
    const options = { ...asMember(this.founder), ...(await pay()) };
    const began = performance.now();
    await delivery.sendMessage({ ...where(this.room), message }, options);
    return performance.now() - began;
  }
}
