import { printId, GroupId, scopedWire, type UserId, uuidOf } from '@roost/core/ids';
import { Failure } from '@roost/core/failure';
import { utf8 } from '@roost/core/bytes';
import { encodeQueueConfig } from '@roost/bus/queue-config';
import { encodeRoomState, parseParticipantId } from '@roost/mls/room';
import { externalSendersExtension } from '@roost/mls/hub';
import { EXTENSION } from '@roost/mls/extensions';
import { foundingRoom, type Template } from '@roost/mls/templates';
import { accountOf, type Core } from './core.ts';
import type { Turn } from './ledger.ts';
import type { Outcome } from './lanes.ts';
import { declareOwn, memberOf, newLeaf } from './links.ts';
import { leavesOf } from './mls.ts';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { pushSoon } from './push.ts';
import { newKeySigner, qsClientSigner } from './signers.ts';
import {
  type Founding,
  type Group,
  type GroupKeys,
  groups,
  type OwnLeaf,
  states,
  joinings,
} from './state.ts';
import { sealTitle } from './titles.ts';

/** The keys that a new group's members share. */
function drawKeys({ crypto }: Pick<Core, 'crypto'>): GroupKeys {
  return {
    earKey: crypto.random(32),
    linkWrapperKey: crypto.random(32),
    participantKey: crypto.random(32),
  };
}

export function drawGroupId(core: Core): GroupId {
  return GroupId.of(uuidOf(core.crypto.random(16)), accountOf(core).domain);
}

interface NewRoom {
  readonly id: GroupId;
  readonly template: Template;
  readonly title: string;
  readonly founding?: Founding;
}

/** Writes a new group down, with us as its owner; `createAtHub` brings it to its hub. */
export async function found(
  core: Core,
  turn: Turn,
  { id, template, title, founding }: NewRoom,
): Promise<Group> {
  const { mls, crypto, clock } = core;
  const keys = drawKeys(core);
  const { leaf, identity } = newLeaf(core);
  const declared = declareOwn(core, keys, leaf);
  const sealedTitle = title === '' ? new Uint8Array(0) : sealTitle(crypto, keys, id, title);
  const founder = parseParticipantId(declared.participantId);
  const room = foundingRoom(template, founder, sealedTitle);
  const extensions = [
    { extensionType: EXTENSION.roomState, extensionData: encodeRoomState(room) },
    externalSendersExtension(core.trust.hubSender()),
  ];
  const keyPackage = { ...leaf.signing, identity, extensions: [], nowMs: clock.now() };
  const { state } = await mls.create(
    utf8(printId(id)),
    await mls.keyPackage(keyPackage),
    extensions,
  );
  const members = leavesOf(state.ratchetTree).map((each) => memberOf(core, keys, each, declared));
  const group: Group = {
    id,
    kind: template.kind,
    title,
    standing: 'creating',
    keys,
    leaf,
    members,
    isLeaving: false,
    isBehind: false,
    lines: 0,
    founding,
  };
  turn.put(groups, printId(id), group);
  turn.put(states, printId(id), state);
  return group;
}

/** Writes a group down that we are about to enter by an external commit, with a leaf of its own. */
export function draftGroup(
  core: Core,
  turn: Turn,
  drafted: Pick<Group, 'id' | 'kind' | 'title' | 'keys'>,
): void {
  const lane = printId(drafted.id);
  const group: Group = {
    ...drafted,
    standing: 'creating',
    leaf: newLeaf(core).leaf,
    members: [],
    isLeaving: false,
    isBehind: false,
    lines: turn.get(groups, lane)?.lines ?? 0,
  };
  turn.put(groups, lane, group);
  turn.put(joinings, lane, { sinceMs: core.clock.now() });
}

/** Where the messages of a group go to us. */
export function queueConfigOf(core: Core, { handle, pushKey }: OwnLeaf): Uint8Array {
  return encodeQueueConfig({ domain: accountOf(core).domain, handle, pushKey });
}

/** Registers the handle of a leaf, bound to its group before anybody sees it. */
export async function registerHandle(core: Core, group: GroupId, leaf: OwnLeaf): Promise<void> {
  const { caller } = core;
  const handles = [{ handle: leaf.handle, binding: { groupId: scopedWire(group) } }];
  const price = { token: 'general' as const, sign: qsClientSigner(core) };
  await caller.ask(price, (options) => caller.services.queue.registerHandles({ handles }, options));
  await core.ledger.turn((turn) => pushSoon(core, turn));
}

/** Brings a group to its hub. Every step may be repeated: the same content gets the same answer. */
export async function createAtHub(
  core: Core,
  lane: string,
  joinSecretHash: Uint8Array,
): Promise<void> {
  const { caller, ledger, mls } = core;
  const [group, state] = [ledger.get(groups, lane), ledger.get(states, lane)];
  const own = group?.members[0];
  if (group === undefined || state === undefined || own === undefined) throw noGroup();
  if (group.standing !== 'creating') return;
  await registerHandle(core, group.id, group.leaf);
  const request = {
    groupId: scopedWire(group.id),
    earKey: group.keys.earKey,
    groupInfo: { tls: await mls.groupInfo(state) },
    ratchetTree: { tls: encodeRatchetTree(state.ratchetTree) },
    queueConfig: queueConfigOf(core, group.leaf),
    addedLeaf: own.addedLeaf,
    joinSecretHash,
  };
  const price = { token: 'general' as const, sign: newKeySigner(group.leaf.signing) };
  await caller.ask(price, (options) => caller.services.delivery.createGroup(request, options));
  await ledger.turn((turn) => {
    const now = turn.get(groups, lane);
    if (now !== undefined) turn.put(groups, lane, { ...now, standing: 'active' });
  });
}

/** Makes a group at its hub. */
export async function performCreate(core: Core, lane: string, key: string): Promise<Outcome> {
  await createAtHub(core, lane, new Uint8Array(0));
  await core.ledger.turn((turn) => core.lanes.finish(turn, key));
  return 'on';
}

/** Draws the id of each claim, so that a claim that is repeated gives the same packages. */
export function invite({ crypto }: Pick<Core, 'crypto'>, users: readonly UserId[]) {
  return users.map((user) => ({ user, claimId: crypto.random(16) }));
}

export function noGroup(): Failure {
  return new Failure('GROUP_UNKNOWN', 'you are not in this group');
}
