import { equal, toHex } from '@roost/core/bytes';
import { printId } from '@roost/core/ids';
import { decodeCommitAad } from '@roost/identity/leaf';
import type { HandshakeMessage } from '@roost/mls/message';
import { encodePolicy } from '@roost/mls/policy';
import { entryOf, roleOf } from '@roost/mls/room';
import { type Core, ownClient } from './core.ts';
import { peerArrived } from './friends.ts';
import type { Turn } from './ledger.ts';
import { type DeclaredLeaf, memberOf } from './links.ts';
import { type ClientState, leavesOf } from './mls.ts';
import { end } from './standing.ts';
import { type Group, groups, type Member } from './state.ts';
import { countDoubted, leavingLeaves, recheckSoon } from './tidy.ts';
import { openTitle, roomOf } from './titles.ts';

/** A step of a group from one epoch to the next. */
interface Step {
  /** Absent where we were not a member before. */
  readonly before: ClientState | undefined;
  readonly after: ClientState;
  readonly commit: HandshakeMessage;
}

/** Makes a group what a commit made of it, and tells what changed for people. */
export async function advance(core: Core, turn: Turn, group: Group, step: Step): Promise<void> {
  const lane = printId(group.id);
  const by = committerOf(group, step);
  if (step.after.groupActiveState.kind === 'removedFromGroup') {
    end(core, turn, group, group.isLeaving ? undefined : by);
    return;
  }
  const declared = new Map<string, DeclaredLeaf>();
  for (const added of decodeCommitAad(step.commit.authenticatedData).added) {
    declared.set(toHex(added.leafSignatureKey), added);
  }
  const members = membersAfter(core, group, step.after, declared);
  const title = openTitle(core.crypto, group.keys, group.id, roomOf(step.after));
  const banned = bannedAfter(group, step.after);
  const former = formerAfter(group, members);
  const next: Group = { ...group, standing: 'active', members, former, title, banned };
  turn.put(groups, lane, next);
  tellChanges(core, turn, { before: group, after: next, by: by ?? '', step });
  turn.after(() => core.lanes.wake(lane));
}

/** The last of those who left: what they said before may still lie in our queue. */
function formerAfter(group: Group, members: readonly Member[]): readonly Member[] | undefined {
  const stay = new Set(members.map(({ signatureKey }) => toHex(signatureKey)));
  const left = group.members.filter(({ signatureKey }) => !stay.has(toHex(signatureKey)));
  if (left.length === 0) return group.former;
  return [...(group.former ?? []), ...left].slice(-FORMER_MAX);
}

const FORMER_MAX = 64;

/** The members of a tree: known leaves stay who they are, new ones have to prove it. */
export function membersAfter(
  core: Core,
  group: Pick<Group, 'keys' | 'members'>,
  state: ClientState,
  declared: ReadonlyMap<string, DeclaredLeaf>,
): Member[] {
  const known = new Map(group.members.map((member) => [toHex(member.signatureKey), member]));
  return leavesOf(state.ratchetTree).map((placed) => {
    const key = toHex(placed.leaf.signaturePublicKey);
    const before = known.get(key);
    if (before?.leafIndex === placed.leafIndex) return before;
    return memberOf(core, group.keys, placed, declared.get(key));
  });
}

interface Changes {
  readonly before: Group;
  readonly after: Group;
  readonly by: string;
  readonly step: Step;
}

function tellChanges(core: Core, turn: Turn, { before, after, by, step }: Changes): void {
  const lane = printId(after.id);
  const [were, are] = [usersOf(before), usersOf(after)];
  const left = step.before === undefined ? new Set<number>() : leavingLeaves(step.before);
  for (const [user, member] of are) {
    if (were.has(user) || isOwnUser(core, member)) continue;
    const name = member.identity?.userName ?? '';
    if (after.kind === 'dm') peerArrived(core, turn, after, member);
    else if (step.commit.sender.senderType !== 'member') {
      core.news.put(turn, { kind: 'entered', chat: lane, name });
    } else core.news.put(turn, { kind: 'added', chat: lane, name, by });
  }
  for (const [user, member] of were) {
    if (are.has(user)) continue;
    const name = member.identity?.userName ?? '';
    if (left.has(member.leafIndex)) core.news.put(turn, { kind: 'left', chat: lane, name });
    else if (isBanned(step.after, member)) {
      core.news.put(turn, { kind: 'banned', chat: lane, name, by });
    } else core.news.put(turn, { kind: 'removed', chat: lane, name, by });
  }
  tellRoles(core, turn, { before, after, by, step });
  if (before.title !== after.title && before.standing === 'active') {
    core.news.put(turn, { kind: 'title', chat: lane, title: after.title, by });
  }
  if (countDoubted(after) > countDoubted(before)) recheckSoon(core, turn, lane);
}

/** Tells of those who have another role, and of another policy. */
function tellRoles(core: Core, turn: Turn, { before, after, by, step }: Changes): void {
  if (step.before === undefined) return;
  const chat = printId(after.id);
  const [was, is] = [roomOf(step.before), roomOf(step.after)];
  const were = usersOf(before);
  for (const [user, { participant, identity }] of usersOf(after)) {
    const role = roleOf(is, participant);
    if (!were.has(user) || roleOf(was, participant) === role) continue;
    const name = identity?.userName ?? '';
    core.news.put(turn, { kind: 'role', chat, name, role, by });
  }
  if (!equal(encodePolicy(was.roles), encodePolicy(is.roles))) {
    core.news.put(turn, { kind: 'policy', chat, by });
  }
}

/** Who is banned now, by name: a later unban says a name. */
function bannedAfter(group: Group, after: ClientState): Group['banned'] {
  const known = new Map(Object.entries(group.banned ?? {}));
  for (const { participant, identity } of group.members) {
    if (identity !== undefined) known.set(participant, identity.userName);
  }
  const banned = roomOf(after).entries.flatMap(({ participant, role }) => {
    const name = role === 'banned' ? known.get(participant) : undefined;
    return name === undefined ? [] : [[participant, name] as const];
  });
  return banned.length === 0 ? undefined : Object.fromEntries(banned);
}

function isBanned(state: ClientState, { participant }: Member): boolean {
  return entryOf(roomOf(state), participant) === 'banned';
}

/** Everybody who is in a group by a leaf that proves it, each once. */
export function usersOf(group: Pick<Group, 'members'>): Map<string, Member> {
  const users = new Map<string, Member>();
  for (const member of group.members) {
    if (member.identity !== undefined) users.set(printId(member.identity.user), member);
  }
  return users;
}

function isOwnUser(core: Core, member: Member): boolean {
  const own = printId(ownClient(core).user);
  return member.identity !== undefined && printId(member.identity.user) === own;
}

/** The name of who made a commit; of an external one it is whoever entered by it. */
function committerOf(group: Group, { commit }: Step): string | undefined {
  const { sender } = commit;
  if (sender.senderType !== 'member') return undefined;
  return group.members.find(({ leafIndex }) => leafIndex === sender.leafIndex)?.identity?.userName;
}
