import { nodeCrypto } from '@roost/crypto/node';
import { prepare } from '@roost/ds/testing/deeds.fixture';
import {
  asMember,
  asNew,
  foundingOf,
  newRoom,
  NOTHING,
  person,
  type Person,
  type Room,
} from '@roost/ds/testing/people.fixture';
import { createPublicGroup, merge, type PublicGroup, treeBytes } from '@roost/mls/public-group';
import { joinByWelcome, receive, stage } from '@roost/mls/testing';
import {
  type CommitRequest,
  type CreateGroupRequest,
  DeliveryServiceDefinition,
} from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf, type Transport } from '@roost/rpc/call';
import { domain, signing } from './house.ts';

/**
 * A group as it is after a while: members at 2^k places have committed, so that no path encrypts to
 * single leaves. Any DS can be told of it.
 */
export interface Settled {
  readonly room: Room;
  readonly founder: Person;
  /** As a server has it in the end. */
  readonly group: PublicGroup;
  readonly founding: CreateGroupRequest;
  readonly steps: readonly Step[];
}

/** Who made it is not kept: its state of a large group would weigh on every garbage collection. */
interface Step {
  readonly signed: ReturnType<typeof asMember>;
  readonly request: CommitRequest;
}

/** So many are added by one commit. */
const ADDED_AT_ONCE = 250;

export async function makeSettled(size: number): Promise<Settled> {
  const founder = await person('founder', { domain });
  const others: Person[] = [];
  while (others.length < size - 1) others.push(await person('member', { domain }));
  const room = newRoom();
  const founding = await foundingOf(founder, room, 'group');
  const tree = founding.ratchetTree?.tls ?? NOTHING;
  const info = founding.groupInfo?.tls ?? NOTHING;
  let group = createPublicGroup(nodeCrypto, info, tree, Date.now());
  const steps: Step[] = [];
  /** Those who keep a state. */
  const active: Person[] = [founder];
  const commit = async (by: Person, add: readonly Person[] = []): Promise<void> => {
    const { made, request } = await prepare(by, room, { add });
    group = merge(stage(group, made));
    steps.push({ signed: asMember(by), request });
    for (const each of active) if (each !== by) await receive(each.actor, made.tls);
    by.actor.state = made.state;
    for (const each of add) {
      const place = others.indexOf(each) + 1;
      if ((place & (place - 1)) !== 0) continue;
      await joinByWelcome(each.actor, made.welcome ?? NOTHING, treeBytes(group));
      active.push(each);
    }
  };
  for (let at = 0; at < others.length; at += ADDED_AT_ONCE) {
    await commit(founder, others.slice(at, at + ADDED_AT_ONCE));
  }
  for (const each of active.slice(1).toReversed()) await commit(each);
  await commit(founder);
  return { room, founder, group, founding, steps };
}

export async function installSettled(
  edge: Transport,
  { founder, founding, steps }: Settled,
): Promise<void> {
  const ds = clientOf(DeliveryServiceDefinition, edge, signing);
  await ds.createGroup(founding, asNew(founder));
  for (const { signed, request } of steps) {
    const { result } = await ds.commit(request, signed);
    if (result?.$case !== 'accepted') throw new Error('these commits have no rivals');
  }
}
