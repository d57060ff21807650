import { equal, toHex, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type GroupId, printId, scopedWire } from '@roost/core/ids';
import { type JoinerInfo, openJoinerInfo, verifyAttribution } from '@roost/identity/joining';
import { hasOnlySender } from '@roost/mls/hub';
import type { LeafLink } from '@roost/proto/roost/delivery/v1/delivery';
import { type Core, ownClient } from './core.ts';
import { joinKeys, usedPackage } from './key-packages.ts';
import { isShared } from './handles.ts';
import type { Turn } from './ledger.ts';
import type { Outcome } from './lanes.ts';
import { membersIn } from './links.ts';
import { usersOf } from './members.ts';
import type { ClientState } from './mls.ts';
import { receiveEarly } from './rooms.ts';
import { foundingOf, goOnIn, sameConversation, survives } from './same-people.ts';
import { leafSigner } from './signers.ts';
import {
  type Contact,
  contacts,
  type Group,
  type GroupKeys,
  groups,
  joinings,
  type Member,
  type OwnPackage,
  packages,
  states,
} from './state.ts';
import { joinsIn, type Task, type WelcomeRecord } from './task.ts';
import { unjudgedDomains } from './tidy.ts';
import { openTitle, roomOf } from './titles.ts';

/**
 * Enters a group that somebody added us to, if that somebody is a contact who answers for it, and
 * everybody in it is who they say. Otherwise the group is refused.
 */
export async function performJoin(
  core: Core,
  lane: string,
  key: string,
  { welcome }: Task & { kind: 'join' },
): Promise<Outcome> {
  const own = core.ledger.get(packages, toHex(welcome.keyPackageRef));
  let isBlocked = false;
  try {
    if (own === undefined) throw refuse('it is for a KeyPackage that is not ours any more');
    const { info, adder } = await core.trust.judge(() => attributed(core, lane, own, welcome));
    isBlocked = adder.isBlocked === true;
    if (isBlocked) throw refuse('whoever added us is blocked');
    const { state, members } = await fetched(core, own, info, welcome);
    await core.ledger.turn((turn) => {
      const ref = welcome.keyPackageRef;
      enter(core, turn, { key, ref, own, info, adder, state, members });
      return receiveEarly(core, turn, lane);
    });
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await core.ledger.turn((turn) => {
      usedPackage(turn, welcome.keyPackageRef);
      // What comes meanwhile may be for the next Welcome that waits.
      if (joinsIn(turn, lane).every(([other]) => other === key)) turn.delete(joinings, lane);
      core.lanes.finish(turn, key);
      // Other groups may come by the handle of a KeyPackage of last resort.
      if (own !== undefined && !isShared(turn, lane, own.leaf.handle)) {
        const { handle } = own.leaf;
        core.lanes.submit(turn, lane, { kind: 'release', handle, isSilenced: true });
      }
      if (!isBlocked) core.news.put(turn, { kind: 'group-refused', sentence: error.message });
    });
  }
  return 'on';
}

/** Opens the joiner info and finds the contact who answers for the Welcome. */
function attributed(core: Core, lane: string, own: OwnPackage, welcome: WelcomeRecord) {
  const { keyPackageRef, joinerInfo } = welcome;
  const info = openJoinerInfo(core.crypto, own.initPrivateKey, keyPackageRef, joinerInfo);
  if (printId(info.groupId) !== lane || info.epoch !== welcome.epoch) {
    throw refuse('its keys are for another group');
  }
  const identity = core.trust.identityOf(info.clientCredential, info.nameBinding);
  const adder = core.ledger.get(contacts, printId(identity.user));
  if (adder?.standing !== 'connected' || !equal(adder.recoveryKeyHash, identity.recoveryKeyHash)) {
    throw refuse('whoever added us is not somebody we are connected with');
  }
  const welcomed = { keyPackageRef, welcome: welcome.welcome };
  if (!verifyAttribution(core.crypto, identity.clientKey, info, welcomed)) {
    throw refuse('whoever is said to have added us did not sign for it');
  }
  return { info, adder };
}

/** Fetches the tree, joins, and verifies every member. */
async function fetched(core: Core, own: OwnPackage, info: JoinerInfo, welcome: WelcomeRecord) {
  const { caller, mls, trust } = core;
  await trust.meetHub(info.groupId.domain);
  const request = {
    groupId: scopedWire(info.groupId),
    earKey: info.earKey,
    epoch: info.epoch,
  };
  const price = { token: 'general' as const, sign: leafSigner(own.leaf) };
  const { ratchetTree, links } = await caller.ask(price, (options) =>
    caller.services.delivery.getJoinInfo(request, options),
  );
  const tree = ratchetTree?.tls ?? new Uint8Array(0);
  const state = await mls.join(welcome.welcome, joinKeys(own), tree).catch((error: unknown) => {
    throw refuse('its Welcome does not lead into it', error);
  });
  const { groupId, epoch } = state.groupContext;
  if (epoch !== info.epoch || !equal(groupId, utf8(printId(info.groupId)))) {
    throw refuse('its Welcome is for another group');
  }
  assertOfHub(core, info.groupId, state);
  const members = await core.trust.judge(() => verifiedMembers(core, info, tree, links));
  return { state, members };
}

/** The members of a tree that we are about to enter: one forged link, and we stay outside. */
export function verifiedMembers(
  core: Pick<Core, 'crypto' | 'clock' | 'trust' | 'ledger'>,
  keys: GroupKeys,
  tree: Uint8Array,
  links: readonly LeafLink[],
): Member[] {
  const members = membersIn(core, keys, tree, links);
  const [domain] = unjudgedDomains({ members });
  if (domain !== undefined) {
    throw refuse(`somebody in it is of ${domain}, whom nobody here can judge`);
  }
  if (members.some(({ identity }) => identity === undefined)) {
    throw refuse('somebody in it is not who they say they are');
  }
  return members;
}

/** Only its own hub proposes changes in a group, by the key that the hub tells everybody. */
export function assertOfHub({ trust }: Pick<Core, 'trust'>, id: GroupId, state: ClientState): void {
  if (hasOnlySender(state.groupContext.extensions, trust.hubSender(id.domain))) return;
  throw refuse('others than its hub may change it from outside');
}

interface Entering {
  readonly key: string;
  readonly ref: Uint8Array;
  readonly own: OwnPackage;
  readonly info: JoinerInfo;
  readonly adder: Contact;
  readonly state: ClientState;
  readonly members: readonly Member[];
}

function enter(core: Core, turn: Turn, entering: Entering): void {
  const { key, ref, own, info, adder, state, members } = entering;
  const lane = printId(info.groupId);
  const { earKey, linkWrapperKey, participantKey } = info;
  const keys = { earKey, linkWrapperKey, participantKey };
  const room = roomOf(state);
  const founding = room.kind === 'group_dm' ? foundingOf(state, members) : undefined;
  if (room.kind === 'group_dm' && founding?.founder !== printId(adder.user)) {
    throw refuse('whoever added us did not found the conversation');
  }
  if (!usersOf({ members }).has(printId(ownClient(core).user))) {
    throw refuse('we are not among its members');
  }
  if (room.kind === 'dm') throw refuse('a conversation of two is entered by its request alone');
  const before = turn.get(groups, lane);
  const title = openTitle(core.crypto, keys, info.groupId, room);
  const group: Group = {
    id: info.groupId,
    kind: room.kind,
    title,
    standing: 'active',
    keys,
    leaf: own.leaf,
    members,
    isLeaving: false,
    isBehind: false,
    lines: before?.lines ?? 0,
    founding,
  };
  turn.delete(joinings, lane);
  usedPackage(turn, ref);
  core.lanes.finish(turn, key);
  const same = founding && sameConversation(turn, founding, lane);
  if (same !== undefined && survives(same, group)) {
    // The one that we are in goes on.
    const { handle } = own.leaf;
    const isSilenced = false;
    if (!isShared(turn, lane, handle)) {
      core.lanes.submit(turn, lane, { kind: 'release', handle, isSilenced });
    }
    core.news.put(turn, { kind: 'surfaced', chat: printId(same.id), by: adder.userName });
    return;
  }
  turn.put(groups, lane, group);
  turn.put(states, lane, state);
  if (same !== undefined) goOnIn(core, turn, same, group);
  core.news.put(turn, { kind: 'joined', chat: lane, title, by: adder.userName });
}

/** Refusals of the group itself; what the hub or the line does is tried again or told. */
const REFUSED: ReadonlySet<string> = new Set([
  'UNAUTHENTICATED',
  'INVALID_MLS',
  'MALFORMED',
  'GROUP_UNKNOWN',
  'NOT_ALLOWED',
  'FEDERATION_DENIED',
]);

function isRefusal(error: unknown): error is Failure {
  return error instanceof Failure && REFUSED.has(error.reason);
}

function refuse(message: string, cause?: unknown): Failure {
  return new Failure('UNAUTHENTICATED', `a group was refused: ${message}`, {}, cause);
}
