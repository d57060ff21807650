// Groups of this hub with members of other homeservers.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toHex } from '@roost/core/bytes';
import { parseDomain } from '@roost/core/ids';
import { MINUTE_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import {
  catchUp,
  commit,
  epochOf,
  found,
  prepare,
  prepareJoin,
  send,
} from './testing/deeds.fixture.ts';
import { clientAt, Elsewhere } from './testing/elsewhere.fixture.ts';
import { expectRefusal } from './testing/expect.fixture.ts';
import { type House, openHouse, quiet } from './testing/house.fixture.ts';
import { asMember, asNew, type Person, person, where } from './testing/people.fixture.ts';
import { TestReceiver } from './testing/receiver.fixture.ts';

const [b, c] = [parseDomain('b.example'), parseDomain('c.example')];
const receiver = new TestReceiver();
const elsewhere = new Elsewhere(receiver);
let house: House;

beforeAll(async () => {
  const forward = async () => new Uint8Array(0);
  house = await openHouse({ receiver, federation: { forward, federationBus: elsewhere } });
});
afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const kindsOf = (at: TestReceiver, who: Person) => at.queueOf(who.handle).map(({ kind }) => kind);

/** Alice and Anna of this homeserver, Bob of B, Carol of C; Alice founds. */
async function scene() {
  const [alice, anna, bob, carol] = await Promise.all([
    person('alice'),
    person('anna'),
    person('bob', { domain: b }),
    person('carol', { domain: c }),
  ]);
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [anna, bob, carol] });
  await quiet(house);
  await catchUp(house, anna, room);
  const [atB, atC] = [elsewhere.at(b), elsewhere.at(c)];
  await catchUp({ client: clientAt(b, house), receiver: atB }, bob, room);
  await catchUp({ client: clientAt(c, house), receiver: atC }, carol, room);
  return { room, alice, anna, bob, carol, atB, atC };
}

test('each homeserver gets what is for its own members, and all are in the same epoch', async () => {
  const { room, alice, anna, bob, carol, atB, atC } = await scene();
  await send(house, alice, room, 'to all');
  await quiet(house);
  for (const [at, who] of [
    [receiver, anna],
    [atB, bob],
    [atC, carol],
  ] as const) {
    expect(kindsOf(at, who)).toEqual(['welcome', 'application']);
    expect(epochOf(who)).toEqual(epochOf(alice));
  }
  expect(kindsOf(receiver, bob)).toEqual([]);
  expect(kindsOf(atB, carol)).toEqual([]);

  // Bob writes by his own homeserver's gateway.
  const { made, request } = await prepare(bob, room);
  const { result } = await clientAt(b, house).commit(request, asMember(bob));
  expect(result?.$case).toBe('accepted');
  bob.actor.state = made.state;
  await quiet(house);
  expect(kindsOf(atC, carol).at(-1)).toBe('commit');
  expect(kindsOf(receiver, alice).at(-1)).toBe('commit');
});

test('a homeserver that is away keeps nobody else waiting, also where its members are removed', async () => {
  const { room, alice, anna, bob, carol, atB, atC } = await scene();
  atB.isAway = true;
  await send(house, alice, room, 'b is away');
  await commit(house, alice, room, { remove: [bob] });
  await send(house, alice, room, 'without bob');
  const isThere = () => kindsOf(atC, carol).length === 4 && kindsOf(receiver, anna).length === 4;
  for (let waited = 0; waited < 60_000 && !isThere(); waited += 20) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const after = ['welcome', 'application', 'commit', 'application'];
  expect([kindsOf(atC, carol), kindsOf(receiver, anna)]).toEqual([after, after]);
  expect(kindsOf(atB, bob)).toEqual(['welcome']);

  atB.isAway = false;
  await quiet(house);
  // The commit that removed him is the last that he hears.
  expect(kindsOf(atB, bob)).toEqual(['welcome', 'application', 'commit']);
  const reading = clientAt(b, house).getGroupInfo(where(room), asMember(bob));
  await expectRefusal(reading, 'GROUP_UNKNOWN');
});

test('whose queue is gone elsewhere is proposed for removal; of queues of others nobody says so', async () => {
  const { room, alice, bob, carol, atB, atC } = await scene();
  // B says of Carol, who is of C, that she is gone: it met her handle in the commit that added her.
  atB.claims.push({ groupId: room.id, handle: carol.handle });
  // The hub proposes behind the request after the one whose delivery told it.
  const thrice = async () => {
    for (const text of ['one', 'two', 'three']) {
      await send(house, alice, room, text);
      await quiet(house);
    }
  };
  await thrice();
  expect(kindsOf(atB, bob).slice(1)).toEqual(['application', 'application', 'application']);

  atC.gone.add(toHex(carol.handle));
  await thrice();
  // Where nothing was found to do, the hub looks again a little later.
  house.clock.advance(11 * MINUTE_MS);
  await thrice();
  expect(kindsOf(atB, bob).filter((kind) => kind === 'proposal')).toHaveLength(1);
  await catchUp(house, alice, room);
  await commit(house, alice, room);
  await quiet(house);
  const reading = clientAt(c, house).getGroupInfo(where(room), asMember(carol));
  await expectRefusal(reading, 'GROUP_UNKNOWN');
});

test('a member is reached at the homeserver that it asks from, and nowhere else', async () => {
  const { room, bob } = await scene();
  const own = { ...where(room), queueConfig: bob.queueConfig };
  await expectRefusal(house.client.updateQueueConfig(own, asMember(bob)), 'FEDERATION_DENIED');
  await expectRefusal(
    clientAt(c, house).updateQueueConfig(own, asMember(bob)),
    'FEDERATION_DENIED',
  );
  await clientAt(b, house).updateQueueConfig(own, asMember(bob));

  const [founder, guest] = await Promise.all([person('founder'), person('guest', { domain: b })]);
  const joinSecret = nodeCrypto.random(32);
  const dm = await found(house, founder, 'dm', joinSecret);
  const { made, request } = await prepareJoin(house, guest, dm, joinSecret);
  await expectRefusal(clientAt(c, house).joinGroup(request, asNew(guest)), 'FEDERATION_DENIED');
  const { result } = await clientAt(b, house).joinGroup(request, asNew(guest));
  expect(result?.$case).toBe('accepted');
  guest.actor.state = made.state;
  await send(house, founder, dm, 'hello').catch(() => undefined);
});

test('groups are founded by our own users alone, and without a gateway nobody of elsewhere is added', async () => {
  await using alone = await openHouse();
  const [alice, bob] = await Promise.all([person('alice'), person('bob', { domain: b })]);
  const room = await found(alone, alice);
  const { request } = await prepare(alice, room, { add: [bob] });
  await expectRefusal(alone.client.commit(request, asMember(alice)), 'FEDERATION_DENIED');
});
