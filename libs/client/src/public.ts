import { utf8, equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, printId, scopedWire } from '@roost/core/ids';
import { encodeCommitAad, participantIdOf } from '@roost/identity/leaf';
import { type Core, ownClient } from './core.ts';
import { draftGroup, noGroup, registerHandle } from './groups.ts';
import { assertOfHub, verifiedMembers } from './joins.ts';
import type { Outcome } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { declareOwn, leafIdentity } from './links.ts';
import { leafSigner, newKeySigner } from './signers.ts';
import { type GroupKeys, groups, joinings, nextStates, pendingCommits, states } from './state.ts';
import { roomOf } from './titles.ts';

/** What a client says before anybody makes or enters a public room. */
export const PUBLIC_NOTICE =
  'a public room is listed by the homeserver: the homeserver and everybody who joins can see who is in it';

/** A public room, as the directory of the hub has it. */
export interface FoundRoom {
  readonly id: GroupId;
  readonly name: string;
  readonly keys: GroupKeys;
}

const PAGES_MAX = 20;

/** Searches the directory of a hub; without a text all of it. */
export async function findRooms(
  { caller }: Core,
  text: string,
  domain: Domain,
): Promise<FoundRoom[]> {
  const found: FoundRoom[] = [];
  for (let page = 0; page < PAGES_MAX; page++) {
    const after = found.at(-1)?.id;
    const request = { text, after: after && scopedWire(after), domain };
    const { rooms, hasMore } = await caller.ask({ token: 'general' }, (options) =>
      caller.services.delivery.findRooms(request, options),
    );
    for (const { groupId, name, earKey, linkWrapperKey, participantKey } of rooms) {
      const id = GroupId.parse(groupId, 'group_id');
      // A hub lists its own groups; whoever is led to another one does not know where it goes.
      if (id.domain !== domain) throw new Failure('MALFORMED', 'group_id: is of another hub');
      found.push({ id, name, keys: { earKey, linkWrapperKey, participantKey } });
    }
    if (!hasMore || rooms.length === 0) break;
  }
  return found;
}

/** Writes a public room down that we are about to enter. */
export function draftRoom(core: Core, turn: Turn, { id, name, keys }: FoundRoom): void {
  const lane = printId(id);
  const before = turn.get(groups, lane);
  if (before !== undefined && before.standing !== 'gone') {
    throw new Failure('ALREADY_EXISTS', `you are in ${name} already`);
  }
  draftGroup(core, turn, { id, kind: 'public', title: name, keys });
}

/** Enters a public room by an external commit, which `settlePending` brings in. */
export async function performEnter(core: Core, lane: string, key: string): Promise<Outcome> {
  const { caller, clock, crypto, ledger, mls } = core;
  const group = ledger.get(groups, lane);
  if (group === undefined) throw noGroup();
  if (ledger.get(states, lane) !== undefined) {
    await ledger.turn((turn) => {
      turn.delete(joinings, lane);
      core.lanes.finish(turn, key);
    });
    return 'on';
  }
  const { id, keys, leaf } = group;
  await core.trust.meetHub(id.domain);
  await registerHandle(core, id, leaf);
  const participant = participantIdOf(crypto, keys.participantKey, ownClient(core).user);
  const request = {
    groupId: scopedWire(id),
    earKey: keys.earKey,
    joinSecret: NOTHING,
    participant,
  };
  const price = { token: 'general' as const, sign: newKeySigner(leaf.signing) };
  const info = await caller.ask(price, (options) =>
    caller.services.delivery.getExternalJoinInfo(request, options),
  );
  const tree = info.ratchetTree?.tls ?? NOTHING;
  const members = await core.trust.judge(() => verifiedMembers(core, keys, tree, info.links));
  const own = await mls.keyPackage({
    ...leaf.signing,
    identity: leafIdentity(core, leaf),
    extensions: [],
    nowMs: clock.now(),
  });
  const from = { groupInfo: info.groupInfo?.tls ?? NOTHING, tree };
  const aad = encodeCommitAad({ added: [declareOwn(core, keys, leaf)] });
  const made = await mls.externalCommit(from, own, aad);
  const isPublic =
    roomOf(made.next).kind === 'public' && equal(made.next.groupContext.groupId, utf8(lane));
  if (!isPublic) throw new Failure('UNAUTHENTICATED', 'the room is another than was said');
  assertOfHub(core, id, made.next);
  await ledger.turn((turn) => {
    turn.put(groups, lane, { ...group, members });
    const { commit, groupInfo } = made;
    turn.put(pendingCommits, lane, { commit, groupInfo, joiners: [], joinSecret: NOTHING });
    turn.put(nextStates, lane, made.next);
  });
  return 'on';
}

/** Puts a room of ours into the directory of its hub. */
export async function performPublish(core: Core, lane: string, key: string): Promise<Outcome> {
  const { caller, ledger } = core;
  const group = ledger.get(groups, lane);
  if (group === undefined) throw noGroup();
  const { earKey, linkWrapperKey, participantKey } = group.keys;
  const request = {
    groupId: scopedWire(group.id),
    earKey,
    name: group.title,
    linkWrapperKey,
    participantKey,
  };
  const price = { token: 'general' as const, sign: leafSigner(group.leaf) };
  await caller.ask(price, (options) => caller.services.delivery.publishRoom(request, options));
  await ledger.turn((turn) => core.lanes.finish(turn, key));
  return 'on';
}

const NOTHING = new Uint8Array(0);
