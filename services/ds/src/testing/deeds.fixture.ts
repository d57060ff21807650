import type { GroupEvent } from '@roost/bus/group-event';
import { assert } from '@roost/core/assert';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeCommitAad } from '@roost/identity/leaf';
import { EXTENSION } from '@roost/mls/extensions';
import { keyPackageRef } from '@roost/mls/key-package';
import { createPublicGroup } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { decodeRoomState, encodeRoomState } from '@roost/mls/room';
import type { RoomKind, RoomState } from '@roost/mls/room';
import {
  joinByWelcome,
  keyPackageTls,
  makeApplication,
  makeCommit,
  makeExternalCommit,
  makeProposal,
  receive,
  stateOf,
} from '@roost/mls/testing';
import type { MadeCommit } from '@roost/mls/testing';
import type {
  CommitRequest,
  JoinGroupRequest,
  ResyncRequest,
} from '@roost/proto/roost/delivery/v1/delivery';
import { quiet } from './house.fixture.ts';
import type { House } from './house.fixture.ts';
import {
  NOTHING,
  addedLeafOf,
  asMember,
  asNew,
  foundingOf,
  newRoom,
  person,
  where,
} from './people.fixture.ts';
import type { Person, Room } from './people.fixture.ts';

/** A group on the hub with its founder alone. */
export async function found(
  { client }: House,
  founder: Person,
  kind: RoomKind = 'group',
  joinSecret?: Uint8Array,
): Promise<Room> {
  const room = newRoom();
  const joinSecretHash = joinSecret === undefined ? NOTHING : nodeCrypto.sha256(joinSecret);
  const request = await foundingOf(founder, room, kind, { joinSecretHash });
  await client.createGroup(request, asNew(founder));
  return room;
}

/** A group of these people, who all are in the same epoch. */
export async function together(
  house: House,
  ...names: readonly string[]
): Promise<{ room: Room; people: Person[] }> {
  const people = await Promise.all(names.map(async (name) => await person(name)));
  const [founder, ...others] = people;
  assert(founder !== undefined, 'somebody founds a group');
  const room = await found(house, founder);
  await commit(house, founder, room, { add: others });
  await quiet(house);
  for (const who of others) await catchUp(house, who, room);
  return { room, people };
}

export interface Changes {
  readonly add?: readonly Person[];
  readonly remove?: readonly Person[];
  readonly room?: RoomState;
  /** Instead of what fits the Adds. */
  readonly declared?: readonly Person[];
  readonly authenticatedData?: Uint8Array;
}

type Proposals = NonNullable<Parameters<typeof makeCommit>[1]>;

/** Makes a commit with whatever waits for one; the actor moves on only by `applyOwn`. */
export async function prepare(
  by: Person,
  room: Room,
  changes: Changes = {},
): Promise<{ readonly made: MadeCommit; readonly request: CommitRequest }> {
  const { add = [], remove = [], declared = add } = changes;
  const proposals: Proposals = [
    ...add.map(({ actor }) => ({
      proposalType: 'add' as const,
      add: { keyPackage: actor.keyPackage },
    })),
    ...remove.map((each) => ({
      proposalType: 'remove' as const,
      remove: { removed: leafIndexOf(by, each) },
    })),
    ...(changes.room === undefined ? [] : [roomProposal(by, changes.room)]),
  ];
  const aad = encodeCommitAad({ added: declared.map(addedLeafOf) });
  const made = await makeCommit(by.actor, proposals, changes.authenticatedData ?? aad);
  return { made, request: requestOf(room, made, add) };
}

export function requestOf(room: Room, made: MadeCommit, added: readonly Person[]): CommitRequest {
  return {
    ...where(room),
    commit: { tls: made.tls },
    groupInfo: { tls: made.groupInfo },
    welcome: made.welcome === undefined ? undefined : { tls: made.welcome },
    joinerInfos: added.map(({ actor }) => ({
      keyPackageRef: keyPackageRef(nodeCrypto, keyPackageTls(actor)),
      sealed: nodeCrypto.random(300),
    })),
  };
}

/** Commits, and goes on where it won. */
export async function commit(
  { client }: House,
  by: Person,
  room: Room,
  changes: Changes = {},
): Promise<bigint> {
  const { made, request } = await prepare(by, room, changes);
  const { result } = await client.commit(request, asMember(by));
  assert(result?.$case === 'accepted', 'this commit has no rival');
  by.actor.state = made.state;
  return result.value.epoch;
}

/** Takes in what lies in a person's queue from a place on; gives how much there is. */
export async function catchUp(
  house: Pick<House, 'client' | 'receiver'>,
  who: Person,
  room: Room,
  taken = 0,
): Promise<number> {
  const events = house.receiver.queueOf(who.handle);
  for (const event of events.slice(taken)) await take(house, who, room, event);
  return events.length;
}

export async function take(
  { client }: Pick<House, 'client'>,
  who: Person,
  room: Room,
  event: GroupEvent,
): Promise<void> {
  if (event.kind === 'welcome') {
    const request = { ...where(room), epoch: event.epoch };
    const info = await client.getJoinInfo(request, asMember(who));
    await joinByWelcome(who.actor, event.mlsMessage, info.ratchetTree?.tls ?? NOTHING);
  } else if (event.kind === 'commit' || event.kind === 'proposal') {
    await receive(who.actor, event.mlsMessage);
  }
}

export async function send(
  { client }: House,
  by: Person,
  room: Room,
  text: string,
): Promise<Uint8Array> {
  const tls = await makeApplication(by.actor, utf8(text));
  await client.sendMessage({ ...where(room), message: { tls } }, asMember(by));
  return tls;
}

export async function leaveProposal(who: Person): Promise<Uint8Array> {
  const removed = leafIndexOf(who, who);
  return await makeProposal(who.actor, { proposalType: 'remove', remove: { removed } });
}

/** The external commit into a connection group. */
export async function prepareJoin(
  house: House,
  who: Person,
  room: Room,
  joinSecret: Uint8Array,
): Promise<{ readonly made: MadeCommit; readonly request: JoinGroupRequest }> {
  const participant = joinSecret.length === 0 ? who.participantId : NOTHING;
  const asked = { ...where(room), joinSecret, participant };
  const info = await house.client.getExternalJoinInfo(asked, asNew(who));
  const [groupInfo, tree] = [info.groupInfo?.tls ?? NOTHING, info.ratchetTree?.tls ?? NOTHING];
  const group = createPublicGroup(nodeCrypto, groupInfo, tree, Date.now());
  return await prepareJoinInto(group, who, room, joinSecret);
}

export async function prepareJoinInto(
  group: PublicGroup,
  who: Person,
  room: Room,
  joinSecret: Uint8Array,
): Promise<{ readonly made: MadeCommit; readonly request: JoinGroupRequest }> {
  const aad = encodeCommitAad({ added: [addedLeafOf(who)] });
  const made = await makeExternalCommit(who.actor, group, false, aad);
  const request = {
    ...where(room),
    joinSecret,
    commit: { tls: made.tls },
    groupInfo: { tls: made.groupInfo },
    queueConfig: who.queueConfig,
  };
  return { made, request };
}

/** The external commit by which a member comes back in place of its own leaf. */
export async function prepareResync(
  { client }: Pick<House, 'client'>,
  who: Person,
  room: Room,
  declared = who,
): Promise<{ readonly made: MadeCommit; readonly request: ResyncRequest }> {
  const info = await client.getGroupInfo(where(room), asMember(who));
  const [groupInfo, tree] = [info.groupInfo?.tls ?? NOTHING, info.ratchetTree?.tls ?? NOTHING];
  const group = createPublicGroup(nodeCrypto, groupInfo, tree, Date.now());
  const aad = encodeCommitAad({ added: [addedLeafOf(declared)] });
  const made = await makeExternalCommit(who.actor, group, true, aad);
  const request = {
    ...where(room),
    commit: { tls: made.tls },
    groupInfo: { tls: made.groupInfo },
    queueConfig: NOTHING,
  };
  return { made, request };
}

/** What all members of an epoch agree on. */
export function epochOf({ actor }: Person): { epoch: bigint; treeHash: Uint8Array } {
  const { epoch, treeHash } = stateOf(actor).groupContext;
  return { epoch, treeHash };
}

export function leafIndexOf(by: Person, of: Person): number {
  const leaves = stateOf(by.actor).ratchetTree.filter((_, at) => at % 2 === 0);
  const index = leaves.findIndex(
    (node) =>
      node?.nodeType === 'leaf' && node.leaf.signaturePublicKey.join() === of.leafKey.join(),
  );
  assert(index >= 0, `${of.name} is in the tree of ${by.name}`);
  return index;
}

export function roomSeenBy({ actor }: Person): RoomState {
  const extension = stateOf(actor).groupContext.extensions.find(
    ({ extensionType }) => extensionType === EXTENSION.roomState,
  );
  assert(extension !== undefined, 'the group has a room state');
  return decodeRoomState(extension.extensionData);
}

export function roomProposal(by: Person, room: RoomState): Proposals[number] {
  const others = stateOf(by.actor).groupContext.extensions.filter(
    ({ extensionType }) => extensionType !== EXTENSION.roomState,
  );
  const ours = { extensionType: EXTENSION.roomState, extensionData: encodeRoomState(room) };
  return {
    proposalType: 'group_context_extensions',
    groupContextExtensions: { extensions: [...others, ours] },
  };
}
