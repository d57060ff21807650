import { equal, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId, scopedWire } from '@roost/core/ids';
import { decodeAddedLeaf, encodeCommitAad } from '@roost/identity/leaf';
import { identityOf } from '@roost/mls/key-package';
import { BadCommitKind, type GetGroupInfoResponse } from '@roost/proto/roost/delivery/v1/delivery';
import type { Core } from './core.ts';
import { noGroup } from './groups.ts';
import { isTransient } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { membersIn } from './links.ts';
import { leavesOf, parseTree } from './mls.ts';
import { reportBadCommit } from './report.ts';
import { leafSigner } from './signers.ts';
import { dropPending, end } from './standing.ts';
import { type Group, groups, nextStates, pendingCommits, states } from './state.ts';
import { recheckSoon, unjudgedDomains } from './tidy.ts';

/**
 * Comes back into a group whose log does not lead from our epoch to the hub's: it was too long ago,
 * or a commit did not fit our secrets. An external commit puts a new leaf in the place of our own.
 * Nobody is asked for it; what was said meanwhile is lost to us. `settlePending` brings it in.
 */
export async function performResync(core: Core, lane: string): Promise<void> {
  const group = core.ledger.get(groups, lane);
  if (group?.lost === undefined) return;
  if (group.isLeaving) {
    // Whoever is leaving does not come back.
    await core.ledger.turn((turn) => end(core, turn, group, undefined));
    return;
  }
  if (group.lost.bad !== undefined) await report(core, group, group.lost.bad);
  const info = await groupInfoOf(core, group);
  if (info === undefined) {
    await core.ledger.turn((turn) => end(core, turn, group, undefined));
    return;
  }
  try {
    await comeBack(core, lane, group, info);
  } catch (error) {
    // The next try begins with a GroupInfo of then; nothing else that is asked for here can help.
    if (!(error instanceof Failure) || isTransient(error)) throw error;
    throw new Failure('UNAVAILABLE', 'the group cannot be entered again now', {}, error);
  }
}

/** A commit of the epoch does not fit: nothing of the group can be read before we came back. */
export function markLost(turn: Turn, group: Group, bad: NonNullable<Group['lost']>['bad']): void {
  const lane = printId(group.id);
  const now = turn.get(groups, lane);
  if (now?.standing !== 'active' || now.lost !== undefined) return;
  dropPending(turn, lane);
  turn.put(groups, lane, { ...now, isBehind: true, lost: bad === undefined ? {} : { bad } });
}

/** The hub was restored from a backup: we come back where it is. */
export function markRolledBack(turn: Turn, group: Group): void {
  const lane = printId(group.id);
  markLost(turn, group, undefined);
  const now = turn.get(groups, lane);
  if (now?.lost === undefined) return;
  const lost = { ...now.lost, isRolledBack: true };
  turn.put(groups, lane, { ...now, lost, suspectEpoch: undefined });
}

/** What is wrong with a commit that members cannot process, as far as ts-mls tells. */
export function badCommitOf(epoch: bigint, error: unknown): NonNullable<Group['lost']>['bad'] {
  const isTag = error instanceof Error && /confirmation tag/i.test(error.message);
  return { epoch: epoch + 1n, kind: isTag ? 'confirmation-tag' : 'path-secret' };
}

const KINDS = {
  'path-secret': BadCommitKind.PATH_SECRET,
  'confirmation-tag': BadCommitKind.CONFIRMATION_TAG,
} as const;

async function report(
  core: Core,
  group: Group,
  { epoch, kind }: NonNullable<NonNullable<Group['lost']>['bad']>,
): Promise<void> {
  await reportBadCommit(core, group, { epoch, kind: KINDS[kind] });
  await core.ledger.turn((turn) => {
    const now = turn.get(groups, printId(group.id));
    if (now?.lost !== undefined) turn.put(groups, printId(group.id), { ...now, lost: {} });
  });
}

/** `undefined` where we are a member no more. */
async function groupInfoOf(core: Core, group: Group): Promise<GetGroupInfoResponse | undefined> {
  const { caller } = core;
  const request = { groupId: scopedWire(group.id), earKey: group.keys.earKey };
  const price = { token: 'general' as const, sign: leafSigner(group.leaf) };
  try {
    return await caller.ask(price, (options) =>
      caller.services.delivery.getGroupInfo(request, options),
    );
  } catch (error) {
    if (error instanceof Failure && error.reason === 'GROUP_UNKNOWN') return undefined;
    throw error;
  }
}

async function comeBack(
  core: Core,
  lane: string,
  group: Group,
  info: GetGroupInfoResponse,
): Promise<void> {
  const { mls, clock, ledger } = core;
  const tree = info.ratchetTree?.tls ?? NOTHING;
  const { signing } = group.leaf;
  const isOurs = (key: Uint8Array): boolean => equal(key, signing.publicKey);
  const own = leavesOf(parseTree(tree)).find(({ leaf }) => isOurs(leaf.signaturePublicKey));
  const members = await core.trust.judge(() => membersIn(core, group.keys, tree, info.links));
  const declared = members.find(({ signatureKey }) => isOurs(signatureKey))?.addedLeaf ?? NOTHING;
  if (own === undefined || declared.length === 0) throw noGroup();
  const keys = await mls.keyPackage({
    ...signing,
    identity: identityOf(own.leaf),
    extensions: [],
    nowMs: clock.now(),
  });
  const from = { groupInfo: info.groupInfo?.tls ?? NOTHING, tree };
  const aad = encodeCommitAad({ added: [decodeAddedLeaf(declared)] });
  const made = await mls.externalCommit(from, keys, aad, { isResync: true });
  const { groupContext } = made.next;
  const before = ledger.get(states, lane)?.groupContext.epoch ?? 0n;
  const isOld = groupContext.epoch <= before && group.lost?.isRolledBack !== true;
  if (!equal(groupContext.groupId, utf8(lane)) || isOld) {
    throw new Failure('UNAUTHENTICATED', 'the hub tells of another group, or of an epoch long ago');
  }
  await ledger.turn((turn) => {
    const now = turn.get(groups, lane);
    if (now?.lost === undefined) return;
    turn.put(groups, lane, { ...now, members });
    if (unjudgedDomains({ members }).length > 0) recheckSoon(core, turn, lane);
    const { commit, groupInfo } = made;
    turn.put(pendingCommits, lane, { commit, groupInfo, joiners: [], isResync: true });
    turn.put(nextStates, lane, made.next);
  });
}

const NOTHING = new Uint8Array(0);
