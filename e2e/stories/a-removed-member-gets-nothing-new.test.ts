// Invariant 10: whoever was removed, banned or left, and whoever was added anew under another leaf, tries
// every method of the DS with the old leaf key, the right EAR key and the very bytes that a member
// would send. They hear what a stranger hears, byte for byte, and nothing changes. The methods are those
// of the table of all rules: a new one has to be tried here.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { leaveProposal, prepare, roomSeenBy } from '@roost/ds/testing/deeds.fixture';
import {
  asMember,
  asNew,
  foundingOf,
  newRoom,
  NOTHING,
  person,
  type Person,
  type Room,
  where,
} from '@roost/ds/testing/people.fixture';
import { dump } from '@roost/e2e/dump';
import { classOf, KIND, OUTSIDE } from '@roost/e2e/samples';
import { Tokens } from '@roost/e2e/tokens';
import { type Heard, Wire } from '@roost/e2e/wire';
import { Witness } from '@roost/e2e/witness';
import { World } from '@roost/e2e/world';
import { makeProof } from '@roost/identity/proof';
import { parseParticipantId } from '@roost/mls/room';
import { joinByWelcome, makeApplication, receive } from '@roost/mls/testing';
import {
  BadCommitKind,
  DeliveryServiceDefinition,
  type SendMessageRequest,
} from '@roost/proto/roost/delivery/v1/delivery';
import type { CallOptions } from '@roost/rpc/call';
import { connectTo } from '@roost/e2e/door';
import { clientOf, type Client } from '@roost/rpc/client';
import { Recorder } from '../load/outgoing.ts';

type Delivery = Client<typeof DeliveryServiceDefinition>;
type Method = keyof Delivery;

const METHODS = OUTSIDE.filter(([path]) => path.includes('.DeliveryService/'));
const ASKED = METHODS.filter(([, { caller }]) => KIND[caller] !== undefined);
const MEMBERS_ONLY = ASKED.filter(([, { caller }]) => caller === 'CALLER_GROUP_MEMBER');

let world: World;
let wire: Wire;
let tokens: Tokens;
let delivery: Delivery;
let room: Room;
let bob: Person;
/** What was accepted of the removed one while it was a member. */
let early: SendMessageRequest;
/** What the member would send, by the path. */
let requests: ReadonlyMap<string, Uint8Array>;
const outcasts = new Map<string, Person>();
const all = new AsyncDisposableStack();

beforeAll(async () => {
  world = all.use(await World.open());
  {
    await using mia = await Witness.come(world.door, 'mia');
    tokens = await Tokens.of(mia, world.door);
  }
  wire = new Wire(world.door);
  const signing = { crypto, clock: systemClock, audience: world.domain };
  delivery = clientOf(DeliveryServiceDefinition, all.use(connectTo(world.door)), signing);
  await tellStory();
});
afterAll(async () => {
  await all.disposeAsync();
});

async function paid(options: CallOptions): Promise<CallOptions> {
  return { ...options, token: await tokens.takeRaw('general') };
}

/** Of the owner, and everybody else who is to keep up. */
async function commit(
  by: Person,
  others: readonly Person[],
  changes: Parameters<typeof prepare>[2] = {},
): Promise<void> {
  const { made, request } = await prepare(by, room, changes);
  const { result } = await delivery.commit(request, await paid(asMember(by)));
  if (result?.$case !== 'accepted') throw new Error('this commit has no rival');
  by.actor.state = made.state;
  for (const each of others) await receive(each.actor, made.tls);
  for (const each of changes.add ?? []) {
    const { epoch } = result.value;
    const asked = { ...where(room), epoch };
    const { ratchetTree } = await delivery.getJoinInfo(asked, await paid(asMember(each)));
    await joinByWelcome(each.actor, made.welcome ?? NOTHING, ratchetTree?.tls ?? NOTHING);
  }
}

async function tellStory(): Promise<void> {
  const come = async (name: string, siblingOf?: Person): Promise<Person> =>
    await person(name, { domain: world.domain, ...(siblingOf === undefined ? {} : { siblingOf }) });
  const [alice, kim, ben, lea, rae] = await Promise.all(
    ['alice', 'kim', 'ben', 'lea', 'rae'].map(async (name) => await come(name)),
  );
  bob = await come('bob');
  if (!alice || !kim || !ben || !lea || !rae) throw new Error('all came');
  room = { ...newRoom(), id: { ...newRoom().id, domain: world.domain } };
  const { externalSender } = await delivery.getExternalSender({});
  const founding = await foundingOf(alice, room, 'group', { externalSenders: [externalSender] });
  await delivery.createGroup(founding, await paid(asNew(alice)));
  await commit(alice, [], { add: [bob, kim, ben, lea, rae] });
  early = { ...where(room), message: { tls: await makeApplication(kim.actor, utf8('still in')) } };
  await delivery.sendMessage(early, await paid(asMember(kim)));

  await commit(alice, [bob, ben, lea, rae], { remove: [kim] });
  const state = roomSeenBy(alice);
  const banned = { participant: parseParticipantId(ben.participantId), role: 'banned' as const };
  const entries = [...state.entries, banned];
  await commit(alice, [bob, lea, rae], { remove: [ben], room: { ...state, entries } });
  const proposal = { tls: await leaveProposal(lea) };
  await delivery.propose({ ...where(room), proposal }, await paid(asMember(lea)));
  for (const each of [alice, bob, rae]) await receive(each.actor, proposal.tls);
  await commit(alice, [bob, rae]);
  await commit(alice, [bob], { remove: [rae] });
  const anew = await come('rae again', rae);
  await commit(alice, [bob], { add: [anew] });
  for (const [why, who] of Object.entries({
    removed: kim,
    banned: ben,
    left: lea,
    'added anew': rae,
  })) {
    outcasts.set(why, who);
  }
  requests = await requestsOf(bob);
}

/** What somebody would send to each method, good in every other way. Nothing is sent. */
async function requestsOf(member: Person): Promise<ReadonlyMap<string, Uint8Array>> {
  const recorder = new Recorder();
  const signing = { crypto, clock: systemClock, audience: world.domain };
  const to = clientOf(DeliveryServiceDefinition, recorder, signing);
  const [at, signed] = [where(room), asMember(member)];
  const { request } = await prepare(member, room);
  const { commit: made, groupInfo } = request;
  const message = { tls: await makeApplication(member.actor, utf8('hello')) };
  const { queueConfig } = member;
  const joining = { ...at, commit: made, groupInfo, queueConfig, joinSecret: crypto.random(32) };
  const founding = await foundingOf(await person('founder'), room, 'group');
  const state = member.actor.state;
  const proposal = { tls: await leaveProposal(member) };
  member.actor.state = state;
  const asks: Record<Method, () => unknown> = {
    createGroup: () => to.createGroup(founding, asNew(member)),
    commit: () => to.commit(request, signed),
    getExternalSender: () => undefined,
    getExternalJoinInfo: () =>
      to.getExternalJoinInfo({ ...at, joinSecret: NOTHING, participant: NOTHING }, signed),
    getGroupInfo: () => to.getGroupInfo(at, signed),
    resync: () => to.resync({ ...at, commit: made, groupInfo, queueConfig }, signed),
    reportBadCommit: () =>
      to.reportBadCommit({ ...at, epoch: 1n, kind: BadCommitKind.LINK }, signed),
    publishRoom: () =>
      to.publishRoom(
        { ...at, name: 'Open', linkWrapperKey: at.earKey, participantKey: at.earKey },
        signed,
      ),
    unpublishRoom: () => to.unpublishRoom(at, signed),
    findRooms: () => undefined,
    joinGroup: () => to.joinGroup(joining, signed),
    propose: () => to.propose({ ...at, proposal }, signed),
    sendMessage: () => to.sendMessage({ ...at, message }, signed),
    getJoinInfo: () => to.getJoinInfo({ ...at, epoch: 1n }, signed),
    getLog: () => to.getLog({ ...at, fromEpoch: 0n }, signed),
    updateQueueConfig: () => to.updateQueueConfig({ ...at, queueConfig }, signed),
    deleteGroup: () => to.deleteGroup(at, signed),
  };
  for (const make of Object.values(asks)) void make();
  return new Map(recorder.calls.map((call) => [call.path, call.request.slice()]));
}

async function ask(who: Person, path: string, kind: 'leaf' | 'new-key'): Promise<Heard> {
  const request = requests.get(path) ?? NOTHING;
  const { signaturePrivateKey: privateKey } = who.actor.privateKeys;
  const signer = { key: { kind, publicKey: who.leafKey }, privateKey };
  const call = { method: path, request, audience: world.domain };
  const proof = makeProof(crypto, signer, call, Date.now());
  return await wire.grpc({ path, request, proof, authorization: await tokens.take('general') });
}

async function kept(): Promise<string> {
  const tables = await dump(world.databases.ds);
  return JSON.stringify([...tables].filter(([table]) => table !== 'outbox'));
}

test('every method that asks who calls is tried, and costs a token', () => {
  expect(ASKED.map(([path]) => path).toSorted()).toEqual([...requests.keys()].toSorted());
  expect(MEMBERS_ONLY.length).toBeGreaterThan(6);
  expect(ASKED.filter(([, rule]) => classOf(rule) !== 'general')).toEqual([]);
});

test.each(['removed', 'banned', 'left', 'added anew'])(
  'whoever was %s hears what a stranger hears from every method, and changes nothing',
  async (why) => {
    const who = outcasts.get(why) ?? nobody();
    const stranger = await person('stranger', { domain: world.domain });
    const before = await kept();
    for (const [path, { caller }] of ASKED) {
      const kind = caller === 'CALLER_GROUP_MEMBER' ? 'leaf' : 'new-key';
      const [heard, expected] = [await ask(who, path, kind), await ask(stranger, path, kind)];
      expect([path, heard.said]).toEqual([path, expect.not.stringMatching(/^(OK|code|HTTP)/)]);
      if (kind === 'leaf') expect([path, heard.said]).toEqual([path, 'GROUP_UNKNOWN']);
      expect([path, heard.headers, heard.message]).toEqual([path, expected.headers, undefined]);
    }
    expect(await kept()).toBe(before);
  },
);

test('who was removed does not get the answer again that it got as a member', async () => {
  const who = outcasts.get('removed') ?? nobody();
  const again = delivery.sendMessage(early, await paid(asMember(who)));
  await expect(again).rejects.toMatchObject({ reason: 'GROUP_UNKNOWN' });
});

test('an unknown group, another EAR key and a removed member are one answer', async () => {
  const who = outcasts.get('removed') ?? nobody();
  const signed = asMember(who);
  const elsewhere = { ...room, id: { ...newRoom().id, domain: world.domain } };
  const otherKey = { ...room, earKey: crypto.random(32) };
  for (const at of [room, elsewhere, otherKey]) {
    const asked = delivery.getLog({ ...where(at), fromEpoch: 0n }, await paid(signed));
    await expect(asked).rejects.toMatchObject({ reason: 'GROUP_UNKNOWN', facts: {} });
  }
});

test('the very same requests are heard of a member', async () => {
  const said: Record<string, string> = {};
  // What changes the epoch, or the group, goes last.
  const last = /\/(Commit|DeleteGroup|Propose)$/;
  const order = MEMBERS_ONLY.toSorted(([a], [b]) => Number(last.test(a)) - Number(last.test(b)));
  for (const [path] of order) said[path.split('/')[2] ?? ''] = (await ask(bob, path, 'leaf')).said;
  expect(said).toMatchObject({ SendMessage: 'OK', GetLog: 'OK', GetJoinInfo: 'OK', Commit: 'OK' });
  expect(Object.values(said)).not.toContain('GROUP_UNKNOWN');
});

function nobody(): never {
  throw new Error('the story has them all');
}
