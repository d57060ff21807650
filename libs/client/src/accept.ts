import { equal, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId, scopedWire } from '@roost/core/ids';
import type { GetExternalJoinInfoResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { encodeCommitAad } from '@roost/identity/leaf';
import type { Core } from './core.ts';
import { connected } from './friends.ts';
import { noGroup, registerHandle } from './groups.ts';
import { assertOfHub, verifiedMembers } from './joins.ts';
import type { Outcome } from './lanes.ts';
import { declareOwn, leafIdentity } from './links.ts';
import { newKeySigner } from './signers.ts';
import {
  type Contact,
  contacts,
  groups,
  joinings,
  nextStates,
  type OwnLeaf,
  pendingCommits,
  type RequestRecord,
  states,
} from './state.ts';
import type { Task } from './task.ts';
import { roomOf } from './titles.ts';

/**
 * Enters the group of a request that was accepted, by an external commit with its join secret. The
 * commit is written down before it is sent; `settlePending` brings it in.
 */
export async function performAccept(
  core: Core,
  lane: string,
  key: string,
  { user }: Task & { kind: 'accept' },
): Promise<Outcome> {
  const { ledger } = core;
  const contact = ledger.get(contacts, printId(user));
  if (ledger.get(states, lane) !== undefined && contact !== undefined) {
    await arrived(core, lane, key, contact);
    return 'on';
  }
  const request = contact?.request;
  if (contact === undefined || request === undefined) {
    throw new Failure('GROUP_UNKNOWN', 'the request is not there any more');
  }
  const entry = await prepareLeaf(core, lane, contact);
  const joinInfo = await joinInfoOf(core, contact, request, entry.leaf);
  await enterBy(core, lane, { contact, request, joinInfo, ...entry });
  return 'on';
}

interface Entry {
  readonly leaf: OwnLeaf;
  readonly identity: Uint8Array;
}

async function prepareLeaf(core: Core, lane: string, contact: Contact): Promise<Entry> {
  const leaf = core.ledger.get(groups, lane)?.leaf;
  if (leaf === undefined) throw noGroup();
  await registerHandle(core, contact.group, leaf);
  return { leaf, identity: leafIdentity(core, leaf) };
}

async function joinInfoOf(
  core: Core,
  contact: Contact,
  { keys, joinSecret }: RequestRecord,
  leaf: OwnLeaf,
): Promise<GetExternalJoinInfoResponse> {
  const { caller, trust } = core;
  await trust.meetHub(contact.group.domain);
  const groupId = scopedWire(contact.group);
  const price = { token: 'general' as const, sign: newKeySigner(leaf.signing) };
  const participant = new Uint8Array(0);
  const request = { groupId, earKey: keys.earKey, joinSecret, participant };
  return caller.ask(price, (options) =>
    caller.services.delivery.getExternalJoinInfo(request, options),
  );
}

interface Entering extends Entry {
  readonly contact: Contact;
  readonly request: RequestRecord;
  readonly joinInfo: GetExternalJoinInfoResponse;
}

async function enterBy(core: Core, lane: string, entering: Entering): Promise<void> {
  const { contact, request, joinInfo, leaf, identity } = entering;
  const { mls, clock, ledger } = core;
  const { keys, joinSecret } = request;
  const tree = joinInfo.ratchetTree?.tls ?? NOTHING;
  const members = await core.trust.judge(() => verifiedMembers(core, keys, tree, joinInfo.links));
  const [founder, ...others] = members;
  const isTheirs =
    others.length === 0 &&
    founder?.identity !== undefined &&
    printId(founder.identity.user) === printId(contact.user) &&
    equal(founder.identity.clientKey, contact.clientKey);
  if (!isTheirs) throw new Failure('UNAUTHENTICATED', 'the group is not of whoever asked');
  const declared = declareOwn(core, keys, leaf);
  const own = await mls.keyPackage({
    ...leaf.signing,
    identity,
    extensions: [],
    nowMs: clock.now(),
  });
  const from = { groupInfo: joinInfo.groupInfo?.tls ?? NOTHING, tree };
  const made = await mls.externalCommit(from, own, encodeCommitAad({ added: [declared] }));
  const isConversation =
    roomOf(made.next).kind === 'dm' && equal(made.next.groupContext.groupId, utf8(lane));
  if (!isConversation) throw new Failure('UNAUTHENTICATED', 'the group is another than was said');
  assertOfHub(core, contact.group, made.next);
  await ledger.turn((turn) => {
    const group = turn.get(groups, lane);
    if (group === undefined) return;
    turn.put(groups, lane, { ...group, members });
    const { commit, groupInfo } = made;
    turn.put(pendingCommits, lane, { commit, groupInfo, joiners: [], joinSecret });
    turn.put(nextStates, lane, made.next);
  });
}

/** We are in the group: the contact is one, and hears how to add us to others. */
async function arrived(core: Core, lane: string, key: string, contact: Contact): Promise<void> {
  await core.ledger.turn((turn) => {
    core.lanes.finish(turn, key);
    turn.delete(joinings, lane);
    const peer = turn.get(groups, lane)?.members.find(({ identity }) => {
      return identity !== undefined && printId(identity.user) === printId(contact.user);
    });
    if (peer?.identity !== undefined) connected(core, turn, contact, peer.identity);
  });
}

const NOTHING = new Uint8Array(0);
