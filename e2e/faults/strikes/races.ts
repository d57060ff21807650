import { encodeQueueConfig } from '@roost/bus/queue-config';
import { GroupId, QsClientId, QsUserId, scopedWire, uuidOf } from '@roost/core/ids';
import { systemClock } from '@roost/core/time';
import { signWithLabel } from '@roost/crypto/labelled';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { prepare } from '@roost/ds/testing/deeds.fixture';
import {
  asMember,
  asNew,
  foundingOf,
  newRoom,
  NOTHING,
  person,
  where,
} from '@roost/ds/testing/people.fixture';
import { connectTo } from '@roost/e2e/door';
import { joinByWelcome } from '@roost/mls/testing';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { addPackage } from '@roost/qs/world.fixture';
import { clientOf } from '@roost/rpc/client';
import type { Fault } from '../fault.ts';
import { digest } from '../log.ts';
import type { Site } from '../site.ts';
import { paying } from './paying.ts';
import { spend } from './spend.ts';

const FIND = '/roost.authentication.v1.AuthenticationService/FindUser';
const PARALLEL = 200;

const doubleSpend: Fault = {
  name: 'race for a token',
  about: `${PARALLEL} calls at once with one token, over two edges and two AAS`,
  isQuick: true,
  async strike(site) {
    const doors = [site.door, await site.secondDoor()] as const;
    const token = await (await site.tokens()).take('general');
    const answers = await Promise.all(
      Array.from({ length: PARALLEL }, (_, at) => spend(doors[at % 2 === 0 ? 0 : 1], token)),
    );
    const passed = answers.filter((said) => said === 'UNAUTHENTICATED').length;
    const spent = answers.filter((said) => said === 'TOKEN_SPENT').length;
    for (let count = 0; count < passed; count++) {
      site.log.add({ kind: 'passed', token: 'the token of the race', path: 'Ack' });
    }
    site.remark(`${passed} passed, ${spent} refused`);
    site.promise(passed === 1, `one call passes, not ${passed}`);
    site.promise(passed + spent === PARALLEL, `all others are told why: ${others(answers)}`);
  },
};

function others(answers: readonly string[]): string {
  return [...new Set(answers)].join(', ');
}

const replay: Fault = {
  name: 'replay of tokens',
  about: 'spent tokens after a restart of the AAS; tokens for methods of another class',
  async strike(site) {
    const tokens = await site.tokens();
    const mine = await Promise.all(Array.from({ length: 10 }, () => tokens.take('general')));
    for (const token of mine) {
      const said = await spend(site.door, token);
      site.promise(said === 'UNAUTHENTICATED', `a new token passes; it said ${said}`);
    }
    for (const process of site.home.of('aas')) await process.restart();
    for (const token of mine) {
      const said = await spend(site.door, token);
      site.promise(said === 'TOKEN_SPENT', `a spent token is refused; it said ${said}`);
    }
    const wrong = await spend(site.door, await tokens.take('general'), FIND);
    site.promise(wrong.startsWith('TOKEN_'), `a general token finds nobody; it said ${wrong}`);
    site.remark('each refused with its own reason');
  },
};

/** A client of the QS that nobody else knows of. */
async function newQueueClient(site: Site) {
  const channel = connectTo(site.door);
  const signing = { crypto, clock: systemClock, audience: site.home.domain };
  const transport = paying(channel, await site.tokens());
  const queue = clientOf(QueueServiceDefinition, transport, signing);
  const [user, client, keys] = [
    crypto.ed25519.generate(),
    crypto.ed25519.generate(),
    crypto.x25519.generate(),
  ];
  const newKey = { kind: 'new-key' as const, publicKey: user.publicKey };
  const { qsUserId } = await queue.createUser(
    { authKey: user.publicKey },
    { sign: { key: newKey, privateKey: user.privateKey } },
  );
  const qsUser = QsUserId.parse(qsUserId, 'qs_user_id');
  const asUser = { key: { kind: 'qs-user' as const, qsUser }, privateKey: user.privateKey };
  const signature = signWithLabel(crypto, client.privateKey, 'QueueClient', keys.publicKey);
  const created = { authKey: client.publicKey, queueKey: keys.publicKey, signature };
  const { qsClientId } = await queue.createClient(created, { sign: asUser });
  const qsClient = QsClientId.parse(qsClientId, 'qs_client_id');
  const asClient = { key: { kind: 'qs-client' as const, qsClient }, privateKey: client.privateKey };
  return { queue, asUser, asClient, [Symbol.dispose]: () => channel.close() };
}

const SINGLES = 10;

const claims: Fault = {
  name: 'race for KeyPackages',
  about: `${PARALLEL} claims at once of ${SINGLES} KeyPackages and one of last resort`,
  async strike(site) {
    using owner = await newQueueClient(site);
    const { queue, asUser, asClient } = owner;
    const token = crypto.random(32);
    const tokenHashes = [crypto.sha256(token), crypto.random(32)];
    await queue.setFriendshipTokens({ tokenHashes, version: 1n }, { sign: asUser });
    const { domain } = site.home;
    const make = async (isLastResort: boolean) => {
      const config = { domain, handle: crypto.random(32), pushKey: crypto.random(32) };
      return await addPackage({ isLastResort, queueConfig: encodeQueueConfig(config) });
    };
    const addPackages = await Promise.all(
      Array.from({ length: SINGLES + 1 }, (_, at) => make(at === SINGLES)),
    );
    await queue.publishAddPackages({ addPackages }, { sign: asClient });
    const lastResort = digest(addPackages[SINGLES]?.keyPackage.tls ?? NOTHING);
    const tokens = await site.tokens();
    for (let count = 0; count < PARALLEL; count += 100) await tokens.draw('contact', 100);
    const outcomes = await Promise.allSettled(
      Array.from({ length: PARALLEL }, () =>
        queue.claimAddPackages({
          ...{ claimId: crypto.random(16), ownerDomain: domain, friendshipToken: token },
          groupId: scopedWire(GroupId.of(uuidOf(crypto.random(16)), domain)),
        }),
      ),
    );
    const given = new Map<string, number>();
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') site.log.heard(outcome.reason);
      const answered = outcome.status === 'fulfilled' ? outcome.value.addPackages : [];
      for (const { keyPackage } of answered) {
        const what = digest(keyPackage?.tls ?? NOTHING);
        const isLastResort = what === lastResort;
        site.log.add({ kind: 'claimed', what, isLastResort });
        given.set(what, (given.get(what) ?? 0) + 1);
      }
    }
    const last = given.get(lastResort) ?? 0;
    site.remark(`${given.size - (last > 0 ? 1 : 0)} single, ${last} times the last resort`);
    site.promise(given.size === SINGLES + 1, `all ${SINGLES} are given, then the last resort`);
    const failed = outcomes.filter(({ status }) => status === 'rejected').length;
    site.promise(failed === 0, `no claim fails; ${failed} did`);
  },
};

const RIVALS = 50;

const commits: Fault = {
  name: 'race of commits',
  about: `${RIVALS} members commit at once in one epoch, over two DS`,
  isQuick: true,
  async strike(site) {
    const { domain } = site.home;
    const doors = [site.door, await site.secondDoor()];
    await using channels = new AsyncDisposableStack();
    const signing = { crypto, clock: systemClock, audience: domain };
    const tokens = await site.tokens();
    const hubs = doors.map((door) =>
      clientOf(DeliveryServiceDefinition, paying(channels.use(connectTo(door)), tokens), signing),
    );
    const hubOf = (at: number) => hubs[at % hubs.length] ?? nobody();
    const rivals = await Promise.all(
      Array.from({ length: RIVALS }, (_, at) => person(`rival ${at}`, { domain })),
    );
    const [founder = nobody(), ...joiners] = rivals;
    const room = { ...newRoom(), id: { ...newRoom().id, domain } };
    const hub = hubOf(0);
    const { externalSender } = await hub.getExternalSender({});
    const founding = { externalSenders: [externalSender] };
    await hub.createGroup(await foundingOf(founder, room, 'group', founding), asNew(founder));
    const { made, request } = await prepare(founder, room, { add: joiners });
    await hub.commit(request, asMember(founder));
    founder.actor.state = made.state;
    for (const joiner of joiners) {
      const asked = { ...where(room), epoch: 1n };
      const { ratchetTree } = await hub.getJoinInfo(asked, asMember(joiner));
      await joinByWelcome(joiner.actor, made.welcome ?? NOTHING, ratchetTree?.tls ?? NOTHING);
    }
    const prepared = await Promise.all(rivals.map(async (rival) => await prepare(rival, room)));
    const results = await Promise.all(
      prepared.map(async (each, at) => {
        const { result } = await hubOf(at).commit(each.request, asMember(rivals[at] ?? nobody()));
        return { result, what: digest(each.made.tls) };
      }),
    );
    for (const { result, what } of results) {
      if (result?.$case !== 'accepted') continue;
      const epoch = Number(result.value.epoch) - 1;
      site.log.add({ kind: 'won', client: 'a rival', group: 'the arena', epoch, what });
    }
    const of = (kind: 'accepted' | 'conflict') =>
      results.flatMap(({ result }) => (result?.$case === kind ? [result.value] : []));
    const lost = of('conflict').filter(
      (each) => 'currentEpoch' in each && each.currentEpoch === 2n,
    ).length;
    site.remark(`${of('accepted').length} won, ${lost} heard of the epoch`);
    site.promise(of('accepted').length === 1, `one commit wins, not ${of('accepted').length}`);
    site.promise(lost === RIVALS - 1, `all others hear of the epoch, not ${lost}`);
  },
};

function nobody(): never {
  throw new Error('all rivals came');
}

export const races: readonly Fault[] = [doubleSpend, replay, claims, commits];
