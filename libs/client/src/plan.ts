import { printId } from '@roost/core/ids';
import { participantIdOf } from '@roost/identity/leaf';
import { authorize, type Change as RoomChange } from '@roost/mls/authorize';
import { entryOf, parseParticipantId, roleOf, type RoomState, withRole } from '@roost/mls/room';
import { templateNamed } from '@roost/mls/templates';
import { type Core, ownClient } from './core.ts';
import { readClaimed } from './key-packages.ts';
import { declare, type DeclaredLeaf } from './links.ts';
import { usersOf } from './members.ts';
import type { ClientState, Proposal } from './mls.ts';
import type { Group, Member } from './state.ts';
import type { Change, ClaimedPackage } from './task.ts';
import { forgedLeaves, isUnsettled } from './tidy.ts';
import { roomOf, sealTitle } from './titles.ts';

/** What a commit brings about, as MLS and the hub want it. */
export interface Plan {
  readonly proposals: Proposal[];
  readonly declared: readonly DeclaredLeaf[];
  readonly added: readonly ClaimedPackage[];
  /** The room state that it leads to, where it says one. */
  readonly room?: RoomState;
}

/** Refuses what the policy of the room is against, with its sentence, before anything is sent. */
export function assertAllowed(
  core: Pick<Core, 'ledger' | 'crypto'>,
  group: Group,
  state: ClientState,
  change: RoomChange,
): void {
  const participants = [...new Set(group.members.map(({ participant }) => participant))];
  const form = change.kind === 'leave' ? 'by-reference' : 'inline';
  const own = participantOf(core, group, ownClient(core).user);
  authorize({ room: roomOf(state), participants }, own, change, form);
}

export function participantOf(
  { crypto }: Pick<Core, 'crypto'>,
  { keys }: Pick<Group, 'keys'>,
  user: Parameters<typeof participantIdOf>[2],
): string {
  return parseParticipantId(participantIdOf(crypto, keys.participantKey, user));
}

/** `undefined` where what is wanted is so already. */
export function planOf(
  core: Core,
  group: Group,
  state: ClientState,
  change: Change,
): Plan | undefined {
  switch (change.kind) {
    case 'add':
      return planAdd(core, group, state, change);
    case 'remove': {
      const leaves = leavesOfUser(group, change.user);
      if (leaves.length === 0) return undefined;
      const participants = [participantOf(core, group, change.user)];
      assertAllowed(core, group, state, { kind: 'remove', participants });
      return plain(removals(leaves));
    }
    case 'remove-unjudged': {
      const members = group.members.filter(({ unjudged }) => unjudged === change.domain);
      if (members.length === 0) return undefined;
      assertRemovable(core, group, state, members);
      return plain(removals(members.map(({ leafIndex }) => leafIndex)));
    }
    case 'ban':
    case 'unban':
    case 'role':
      return planRole(core, group, state, change);
    case 'hand-over': {
      const { participant } = change;
      if (!group.members.some((each) => each.participant === participant)) return undefined;
      return planRoom(core, group, state, withRole(roomOf(state), participant, 'owner'));
    }
    case 'title': {
      if (group.title === change.title) return undefined;
      const sealedTitle = sealTitle(core.crypto, group.keys, group.id, change.title);
      return planRoom(core, group, state, { ...roomOf(state), sealedTitle });
    }
    case 'policy':
      return planRoom(core, group, state, {
        ...roomOf(state),
        roles: templateNamed(change.template).roles,
      });
    case 'update':
      return plain([]);
    case 'tidy': {
      const forged = mayRemoveForged(core, group, state) ? forgedLeaves(group) : [];
      return forged.length === 0 && !isUnsettled(state) ? undefined : plain(removals(forged));
    }
  }
}

function planRole(
  core: Core,
  group: Group,
  state: ClientState,
  change: Change & { kind: 'ban' | 'unban' | 'role' },
): Plan | undefined {
  const room = roomOf(state);
  if (change.kind === 'unban') {
    const { participant } = change;
    if (entryOf(room, participant) !== 'banned') return undefined;
    return planRoom(core, group, state, withRole(room, participant, 'none'));
  }
  const participant = participantOf(core, group, change.user);
  const leaves = leavesOfUser(group, change.user);
  if (change.kind === 'ban') {
    if (entryOf(room, participant) === 'banned') return undefined;
    assertAllowed(core, group, state, { kind: 'ban', participant });
    return { ...plain(removals(leaves)), room: withRole(room, participant, 'banned') };
  }
  if (leaves.length === 0 || roleOf(room, participant) === change.role) return undefined;
  return planRoom(core, group, state, withRole(room, participant, change.role));
}

function planRoom(core: Core, group: Group, state: ClientState, next: RoomState): Plan {
  assertAllowed(core, group, state, { kind: 'room', next });
  return { ...plain([]), room: next };
}

function assertRemovable(
  core: Core,
  group: Group,
  state: ClientState,
  members: readonly Member[],
): void {
  const participants = [...new Set(members.map(({ participant }) => participant))];
  assertAllowed(core, group, state, { kind: 'remove', participants });
}

function mayRemoveForged(core: Core, group: Group, state: ClientState): boolean {
  const indices = new Set(forgedLeaves(group));
  const forged = group.members.filter(({ leafIndex }) => indices.has(leafIndex));
  try {
    assertRemovable(core, group, state, forged);
    return true;
  } catch {
    return false;
  }
}

function removals(leaves: readonly number[]): Proposal[] {
  return leaves.map((removed) => ({ proposalType: 'remove', remove: { removed } }));
}

function plain(proposals: Proposal[]): Plan {
  return { proposals, declared: [], added: [] };
}

function planAdd(
  core: Core,
  group: Group,
  state: ClientState,
  { invited }: Change & { kind: 'add' },
): Plan | undefined {
  const present = usersOf(group);
  const missing = invited.filter(({ user }) => !present.has(printId(user)));
  if (missing.length === 0) return undefined;
  const participants = missing.map(({ user }) => participantOf(core, group, user));
  assertAllowed(core, group, state, { kind: 'add', participants });
  const proposals: Proposal[] = [];
  const declared: DeclaredLeaf[] = [];
  const added: ClaimedPackage[] = [];
  for (const { user, packages = [] } of missing) {
    for (const each of packages) {
      const { keyPackage, signatureKey } = readClaimed(core, each.keyPackage);
      proposals.push({ proposalType: 'add', add: { keyPackage } });
      const leaf = { leafKey: signatureKey, linkKey: each.linkKey, user };
      declared.push(declare(core, group.keys, leaf));
      added.push(each);
    }
  }
  return { proposals, declared, added };
}

function leavesOfUser(group: Group, user: { readonly uuid: string; readonly domain: string }) {
  return group.members.flatMap(({ leafIndex, identity }) =>
    identity?.user.uuid === user.uuid && identity.user.domain === user.domain ? [leafIndex] : [],
  );
}
