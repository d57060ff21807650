import { encodeQueueConfig } from '@roost/bus/queue-config';
import type { GroupEvent } from '@roost/bus/group-event';
import { assert } from '@roost/core/assert';
import { utf8 } from '@roost/core/bytes';
import { GroupId, printId, scopedWire, uuidOf } from '@roost/core/ids';
import type { Domain } from '@roost/core/ids';
import { encode } from '@roost/core/tls';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeAddedLeaf, encodeCommitAad } from '@roost/identity/leaf';
import type { AddedLeaf } from '@roost/identity/leaf';
import { EXTENSION } from '@roost/mls/extensions';
import { keyPackageRef } from '@roost/mls/key-package';
import { createPublicGroup, treeBytes } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { decodeRoomState, encodeRoomState, parseParticipantId } from '@roost/mls/room';
import type { RoomKind, RoomState } from '@roost/mls/room';
import {
  foundGroup,
  joinByWelcome,
  keyPackageTls,
  makeApplication,
  makeCommit,
  makeExternalCommit,
  makeProposal,
  newActor,
  receive,
  stateOf,
} from '@roost/mls/testing';
import type { Actor, MadeCommit } from '@roost/mls/testing';
import type {
  CommitRequest,
  CreateGroupRequest,
  JoinGroupRequest,
} from '@roost/proto/roost/delivery/v1/delivery';
import { home } from './house.ts';
import type { House } from './house.ts';

/** One client, with a real MLS member for one group. */
export interface Person {
  readonly name: string;
  readonly actor: Actor;
  readonly leafKey: Uint8Array;
  readonly participantId: Uint8Array;
  readonly handle: Uint8Array;
  readonly queueConfig: Uint8Array;
  readonly wrappedLinkKey: Uint8Array;
}

/** What members of a group share. */
export interface Room {
  readonly id: GroupId;
  readonly earKey: Uint8Array;
}

export interface PersonOptions {
  /** Of whom this is a further client. */
  readonly siblingOf?: Person;
  readonly domain?: Domain;
  readonly identity?: Uint8Array;
}

export async function person(name: string, options: PersonOptions = {}): Promise<Person> {
  const handle = nodeCrypto.random(32);
  const domain = options.domain ?? home;
  const queueConfig = encodeQueueConfig({ domain, handle, pushKey: nodeCrypto.random(32) });
  const actor = await newActor(nodeCrypto, name, {
    identity: options.identity ?? pseudonym(),
    keyPackageExtensions: [{ extensionType: EXTENSION.queueConfig, extensionData: queueConfig }],
    extensionTypes: [EXTENSION.roomState, EXTENSION.queueConfig],
  });
  return {
    name,
    actor,
    leafKey: actor.keyPackage.leafNode.signaturePublicKey,
    participantId: options.siblingOf?.participantId ?? nodeCrypto.random(16),
    handle,
    queueConfig,
    wrappedLinkKey: nodeCrypto.random(60),
  };
}

export function newRoom(): Room {
  const id = GroupId.of(uuidOf(nodeCrypto.random(16)), home);
  return { id, earKey: nodeCrypto.random(32) };
}

export function addedLeafOf({ leafKey, participantId, wrappedLinkKey }: Person): AddedLeaf {
  return { leafSignatureKey: leafKey, participantId, wrappedLinkKey };
}

/** How a person signs as a member, and as somebody new. */
export function asMember({ leafKey, actor }: Person) {
  const privateKey = actor.privateKeys.signaturePrivateKey;
  return { sign: { key: { kind: 'leaf' as const, publicKey: leafKey }, privateKey } };
}

export function asNew({ leafKey, actor }: Person) {
  const privateKey = actor.privateKeys.signaturePrivateKey;
  return { sign: { key: { kind: 'new-key' as const, publicKey: leafKey }, privateKey } };
}

export function where({ id, earKey }: Room) {
  return { groupId: scopedWire(id), earKey };
}

export function roomStateOf(owner: Person, kind: RoomKind, title = ''): RoomState {
  const participant = parseParticipantId(owner.participantId);
  const entries = [{ participant, role: 'owner' as const }];
  return { kind, defaultRole: 'ordinary', sealedTitle: utf8(title), entries };
}

export async function foundingOf(
  founder: Person,
  room: Room,
  kind: RoomKind,
  { joinSecretHash = NOTHING, state = roomStateOf(founder, kind) } = {},
): Promise<CreateGroupRequest> {
  const extensions = [
    { extensionType: EXTENSION.roomState, extensionData: encodeRoomState(state) },
  ];
  const group = await foundGroup(nodeCrypto, founder.actor, utf8(printId(room.id)), extensions);
  return {
    ...where(room),
    groupInfo: { tls: group.groupInfoTls },
    ratchetTree: { tls: treeBytes(group) },
    queueConfig: founder.queueConfig,
    addedLeaf: encodeAddedLeaf(addedLeafOf(founder)),
    joinSecretHash,
  };
}

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
export async function catchUp(house: House, who: Person, room: Room, taken = 0): Promise<number> {
  const events = house.receiver.queueOf(who.handle);
  for (const event of events.slice(taken)) await take(house, who, room, event);
  return events.length;
}

export async function take(
  { client }: House,
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
  const asked = { ...where(room), joinSecret };
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

export const NOTHING = new Uint8Array(0);

function roomProposal(by: Person, room: RoomState): Proposals[number] {
  const others = stateOf(by.actor).groupContext.extensions.filter(
    ({ extensionType }) => extensionType !== EXTENSION.roomState,
  );
  const ours = { extensionType: EXTENSION.roomState, extensionData: encodeRoomState(room) };
  return {
    proposalType: 'group_context_extensions',
    groupContextExtensions: { extensions: [...others, ours] },
  };
}

/** A LeafIdentity whose link nobody can open: the hub sees no more of a true one. */
function pseudonym(): Uint8Array {
  return encode((writer) => {
    writer.u16(1).fixed(nodeCrypto.random(16)).fixed(nodeCrypto.random(32));
    writer.opaque(nodeCrypto.random(540));
  });
}
