import { utf8 } from '@roost/core/bytes';
import type { Uuid } from '@roost/core/ids';
import { prepare } from '@roost/ds/testing/deeds.fixture';
import {
  asMember,
  asNew,
  foundingOf,
  newRoom,
  person,
  type Person,
  type Room,
  where,
} from '@roost/ds/testing/people.fixture';
import { makeApplication } from '@roost/mls/testing';
import {
  type CommitRequest,
  type CreateGroupRequest,
  DeliveryServiceDefinition,
} from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf, type Outgoing, type Transport } from '@roost/rpc/call';
import { domain, type House, type Place, signing } from './house.ts';
import { bindHandles, type QueueClient, spread } from './queues.ts';
import { Recorder } from './outgoing.ts';

/** A group by real members, as its founder made it: any DS can be told of it. */
export interface MadeGroup {
  readonly room: Room;
  readonly founder: Person;
  readonly members: readonly Person[];
  readonly founding: CreateGroupRequest;
  readonly commits: readonly CommitRequest[];
}

/** So many are added by one commit. */
const ADDED_AT_ONCE = 250;
const TEXT = 'x'.repeat(200);

export async function makeGroup(size: number): Promise<MadeGroup> {
  const founder = await person('founder', { domain });
  const others: Person[] = [];
  while (others.length < size - 1) others.push(await person('member', { domain }));
  const room = newRoom();
  const founding = await foundingOf(founder, room, 'group');
  const commits: CommitRequest[] = [];
  for (let at = 0; at < others.length; at += ADDED_AT_ONCE) {
    const add = others.slice(at, at + ADDED_AT_ONCE);
    const { made, request } = await prepare(founder, room, { add });
    founder.actor.state = made.state;
    commits.push(request);
  }
  return { room, founder, members: [founder, ...others], founding, commits };
}

/** Tells a DS of groups. */
export async function installGroups(edge: Transport, groups: readonly MadeGroup[]): Promise<void> {
  const ds = clientOf(DeliveryServiceDefinition, edge, signing);
  for (const { founder, founding, commits } of groups) {
    await ds.createGroup(founding, asNew(founder));
    for (const request of commits) {
      const { result } = await ds.commit(request, asMember(founder));
      if (result?.$case !== 'accepted') throw new Error('these commits have no rivals');
    }
  }
}

/** Gives every member a queue: those of a group are different clients. */
export async function bindMembers(
  place: Pick<Place, 'edge'>,
  clients: readonly QueueClient[],
  groups: readonly MadeGroup[],
): Promise<void> {
  const bound = groups.flatMap(({ room, members }) =>
    members.map(({ handle }) => ({ handle, groupId: room.id })),
  );
  await bindHandles(place, clients, spread(bound, clients.length));
}

/** Messages by the founders of groups in turn, signed and ready to go. */
export async function recordSends(
  groups: readonly MadeGroup[],
  count: number,
): Promise<readonly Outgoing[]> {
  const recorder = new Recorder();
  const ds = clientOf(DeliveryServiceDefinition, recorder, signing);
  for (let at = 0; at < count; at++) {
    const group = groups[at % groups.length];
    if (group === undefined) throw new Error('there is a group to send to');
    const tls = await makeApplication(group.founder.actor, utf8(TEXT));
    void ds.sendMessage({ ...where(group.room), message: { tls } }, asMember(group.founder));
  }
  return recorder.calls;
}

/** Waits until all that the DS accepted lies in the queues. */
export async function settled(house: House): Promise<void> {
  const rows = await house.databases.of('ds').query<{ id: Uuid; n: bigint }>({
    text: `SELECT DISTINCT group_id AS id, heads.n
             FROM outbox JOIN outbox_heads AS heads USING (group_id, destination)`,
  });
  await house.bus.reached(new Map(rows.map(({ id, n }) => [id, n])));
}
