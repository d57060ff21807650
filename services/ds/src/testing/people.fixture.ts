import { encodeQueueConfig } from '@roost/bus/queue-config';
import { utf8 } from '@roost/core/bytes';
import { GroupId, printId, scopedWire, uuidOf } from '@roost/core/ids';
import type { Domain } from '@roost/core/ids';
import { encode } from '@roost/core/tls';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeAddedLeaf } from '@roost/identity/leaf';
import type { AddedLeaf } from '@roost/identity/leaf';
import { EXTENSION } from '@roost/mls/extensions';
import { externalSenderOf, externalSendersExtension } from '@roost/mls/hub';
import { treeBytes } from '@roost/mls/public-group';
import { encodeRoomState, parseParticipantId } from '@roost/mls/room';
import type { RoomKind, RoomState } from '@roost/mls/room';
import { foundingRoom, templateOf } from '@roost/mls/templates';
import { foundGroup, newActor } from '@roost/mls/testing';
import type { Actor } from '@roost/mls/testing';
import type { CreateGroupRequest } from '@roost/proto/roost/delivery/v1/delivery';
import { home, hubKey } from './house.fixture.ts';

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
  readonly suite?: Actor['suite'];
}

export async function person(name: string, options: PersonOptions = {}): Promise<Person> {
  const handle = nodeCrypto.random(32);
  const domain = options.domain ?? home;
  const queueConfig = encodeQueueConfig({ domain, handle, pushKey: nodeCrypto.random(32) });
  const actor = await newActor(nodeCrypto, name, {
    identity: options.identity ?? pseudonym(),
    ...(options.suite === undefined ? {} : { suite: options.suite }),
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
  return foundingRoom(templateOf(kind), participant, utf8(title));
}

/** What a founding may say otherwise than usual. */
interface Founding {
  readonly joinSecretHash?: Uint8Array;
  readonly state?: RoomState;
  readonly externalSenders?: readonly Uint8Array[];
}

const hubSender = externalSenderOf(nodeCrypto.ed25519.publicKey(hubKey), home);

export async function foundingOf(
  founder: Person,
  room: Room,
  kind: RoomKind,
  {
    joinSecretHash = NOTHING,
    state = roomStateOf(founder, kind),
    externalSenders = [hubSender],
  }: Founding = {},
): Promise<CreateGroupRequest> {
  const extensions = [
    { extensionType: EXTENSION.roomState, extensionData: encodeRoomState(state) },
    ...externalSenders.map(externalSendersExtension),
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

export const NOTHING = new Uint8Array(0);

/** A LeafIdentity whose link nobody can open: the hub sees no more of a true one. */
function pseudonym(): Uint8Array {
  return encode((writer) => {
    writer.u16(1).fixed(nodeCrypto.random(16)).fixed(nodeCrypto.random(32));
    writer.opaque(nodeCrypto.random(540));
  });
}
