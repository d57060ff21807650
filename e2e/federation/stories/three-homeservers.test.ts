// Three homeservers that have never met, and people who know the door of their own alone: found, asked, written to;
// a group over all three; out of it, away from it, quiet about it; kept out, and let in again; new keys.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { sleep } from '@roost/core/time';
import type { Person } from '@roost/e2e/person';
import { certificate, PushProvider } from '@roost/qs/push-provider.fixture';
import { ListingKind } from '@roost/proto/roost/federation/v1/admin';
import { Hermit, mayBeAlone } from './hermit.fixture.ts';
import { connect, DOMAINS, each, FAR_MS, hear, say, Three } from './three.fixture.ts';

const LONG_MS = 600_000;
const isDistributed = process.env['ROOST_E2E'] === 'distributed';
/** Of the group over all three; `ROOST_FEDERATION_MEMBERS` for another number. */
const MEMBERS = Number(process.env['ROOST_FEDERATION_MEMBERS'] ?? (isDistributed ? 9 : 24));

let provider: PushProvider;
let three: Three;
let alice: Person;
let bob: Person;
let carol: Person;
/** The others of the large group, in turns of A, B and C. */
let crowd: Person[] = [];
let chat: string;

beforeAll(async () => {
  provider = await PushProvider.open();
  three = await Three.open({ pushing: { isPrivateAllowed: true, authority: certificate } });
  [alice, bob, carol] = await Promise.all(
    (['alice@a.example', 'bob@b.example', 'carol@c.example'] as const).map(
      async (name) => await three.come(name),
    ) as [Promise<Person>, Promise<Person>, Promise<Person>],
  );
}, LONG_MS);
afterAll(async () => {
  await three[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
});

const at = (domain: string): Person[] =>
  [alice, bob, carol, ...crowd].filter(({ client }) => client.userName.endsWith(`@${domain}`));

test(
  'three people of three homeservers find each other and write, whoever asked',
  async () => {
    const pairs = [
      [alice, bob],
      [bob, carol],
      [carol, alice],
    ] as const;
    for (const [one, other] of pairs) {
      const dm = await connect(one, other);
      // The conversation is at the homeserver of whoever asked.
      expect(dm.split('@')[1]).toBe(one.client.userName.split('@')[1]);
      await say(one, dm, `${one.name} to ${other.name}`);
      await hear([other], `${one.name} to ${other.name}`);
      await say(other, dm, `${other.name} to ${one.name}`);
      await hear([one], `${other.name} to ${one.name}`);
    }
  },
  LONG_MS,
);

test(
  `a group over all three, of ${MEMBERS}: everybody hears everybody`,
  async () => {
    const names = Array.from({ length: MEMBERS - 3 }, (_, n) => `m${n}@${DOMAINS[n % 3]}`);
    await each(names, 4, async (name) => void crowd.push(await three.come(name)));
    await each(crowd, 6, async (one) => void (await connect(alice, one)));
    const others = [bob, carol, ...crowd];
    chat = await alice.client.createGroup(
      'All three',
      others.map(({ client }) => client.userName),
    );
    const isIt = (event: { readonly chat: string }) => event.chat === chat;
    await each(
      others,
      others.length,
      async (one) => void (await one.until('joined', isIt, FAR_MS)),
    );
    await say(alice, chat, 'to all three');
    await hear(others, 'to all three');
    for (const one of [bob, carol]) {
      await say(one, chat, `${one.name} of another homeserver`);
      await hear(
        [alice, bob, carol, ...crowd].filter((other) => other !== one),
        `${one.name} of another homeserver`,
      );
    }
    expect(alice.client.members(chat)).toHaveLength(MEMBERS);
  },
  LONG_MS,
);

test(
  'two at once change the group from two homeservers: its hub takes one after the other',
  async () => {
    await Promise.all([
      bob.client.setTitle(chat, 'of Bob'),
      carol.client.setTitle(chat, 'of Carol'),
    ]);
    // In some order, and for all of them the same: the last one stays.
    await say(alice, chat, 'what is it called?');
    await hear([bob, carol, ...crowd], 'what is it called?');
    const titles = [alice, bob, carol, ...crowd].map(({ client }) => client.chat(chat)?.name);
    expect(new Set(titles).size).toBe(1);
  },
  LONG_MS,
);

test(
  'who is removed, and who leaves, hears nothing more; the others hear of it',
  async () => {
    const [removed, left] = [at('c.example').at(-1), at('b.example').at(-1)];
    if (removed === undefined || left === undefined) throw new Error('each has some');
    await alice.client.remove(chat, removed.client.userName);
    await removed.until('gone', (event) => event.chat === chat, FAR_MS);
    await left.client.leave(chat);
    const isLeft = ({ name }: { readonly name: string }) => name === left.client.userName;
    await alice.until('left', isLeft, FAR_MS);
    await carol.until('left', isLeft, FAR_MS);
    await say(bob, chat, 'without the two');
    await hear([alice, carol], 'without the two');
    const stayed = [alice, bob, carol, ...crowd].filter((one) => one !== removed && one !== left);
    await hear(
      stayed.filter((one) => one !== bob),
      'without the two',
    );
    expect(
      [removed, left].flatMap((one) => one.texts().filter((text) => /without/.test(text))),
    ).toEqual([]);
    crowd = crowd.filter((one) => one !== removed && one !== left);
  },
  LONG_MS,
);

test(
  'who silences the group is not told, and the others are not told that; later it goes on',
  async () => {
    await carol.client.silence(chat);
    const { sent } = await bob.client.send(chat, 'past Carol');
    await sent;
    await hear([alice, ...at('c.example').filter((one) => one !== carol)], 'past Carol');
    await carol.client.unsilence(chat);
    await say(alice, chat, 'Carol again');
    await hear([carol], 'Carol again');
    expect(carol.texts()).not.toContain('past Carol');
  },
  LONG_MS,
);

test(
  'who is away is told by a push what another homeserver brought, and by the rule that only the own one knows',
  async () => {
    const dora = await three.come('dora@c.example');
    const dm = await connect(alice, dora);
    await say(alice, dm, 'before');
    await hear([dora], 'before');
    const endpoint = `https://localhost:${provider.port}/dora`;
    const { publicKey: p256dh } = crypto.p256.generate();
    await dora.client.pushes.register({ endpoint, p256dh, auth: crypto.random(16) });
    await three.part(dora);
    await pushedWhen(async () => say(alice, dm, 'are you there?'));

    const back = await three.come('dora@c.example');
    await hear([back], 'are you there?');
    await back.client.setNotifications(dm, { kind: 'silent' });
    await three.part(back);
    const before = provider.asked.length;
    await say(alice, dm, 'not so loud');
    // One that is too many would come by then.
    await sleep(2_000);
    const again = await three.come('dora@c.example');
    await hear([again], 'not so loud');
    expect(provider.asked).toHaveLength(before);
  },
  LONG_MS,
);

/** Waits until the provider was asked for what was done. */
async function pushedWhen(work: () => Promise<void>): Promise<void> {
  const before = provider.asked.length;
  await work();
  const endMs = Date.now() + FAR_MS;
  while (provider.asked.length === before) {
    if (Date.now() > endMs) throw new Error('no push was asked for');
    await sleep(50);
  }
}

test(
  'a homeserver that blocks another hears nothing of it, loses nothing, and hears it once when it lets it in again',
  async () => {
    await three.list('c.example', 'a.example', ListingKind.BLOCKED);
    for (let n = 0; n < 5; n++) await say(alice, chat, `kept out ${n}`);
    await hear([bob], 'kept out 4');
    await expect(
      carol.client.send(chat, 'nor out').then(async ({ sent }) => await sent),
    ).rejects.toThrow();
    expect(carol.texts().filter((text) => text.startsWith('kept out'))).toEqual([]);
    await three.list('c.example', 'a.example', ListingKind.UNSPECIFIED);
    await three.operator('a.example').retryPeer({ domain: 'c.example' });
    await hear(at('c.example'), 'kept out 4');
    for (const one of at('c.example')) {
      expect(one.texts().filter((text) => text.startsWith('kept out'))).toEqual(
        [0, 1, 2, 3, 4].map((n) => `kept out ${n}`),
      );
    }
  },
  LONG_MS,
);

test(
  'a key is announced while everybody writes, and nothing is lost',
  async () => {
    const operator = three.operator('a.example');
    const { key } = await operator.rotateKey({});
    expect(key?.isCurrent).toBe(false);
    for (let n = 0; n < 10; n++) await say(n % 2 === 0 ? alice : bob, chat, `turning ${n}`);
    await hear([carol], 'turning 9');
    const wanted = Array.from({ length: 10 }, (_, n) => `turning ${n}`);
    expect(carol.texts().filter((text) => text.startsWith('turning'))).toEqual(wanted);
    // So many can be seen to be there, and one signs still.
    const { keys } = await operator.listKeys({});
    expect(keys.map(({ isCurrent }) => isCurrent)).toEqual([false, true]);
  },
  LONG_MS,
);

test(
  'who reaches the door of the own homeserver and no network at all speaks with people of the other two',
  async () => {
    const isAlone = mayBeAlone();
    if (!isAlone) process.stdout.write('left out: a network of their own: unshare --net refuses\n');
    const forbidden = isAlone ? DOMAINS.map((domain) => three.world(domain).door.address) : [];
    const others = [alice, carol];
    await using hermit = await Hermit.open(three.world('b.example').door, {
      ...{ name: 'herm', forbidden },
      others: others.map(({ client }) => client.userName),
    });
    const name = 'herm@b.example';
    const isHe = (event: { readonly name: string }) => event.name === name;
    await each(others, others.length, async (one) => {
      await one.until('request', isHe, FAR_MS);
      await one.client.accept(name);
      const { chat: dm } = await one.until('connected', isHe, FAR_MS);
      await hear([one], `herm to ${one.client.userName}`);
      await say(one, dm, 'to whom nobody else reaches');
    });
    const code = await hermit.end();
    const [reached] = hermit.output.split('\n');
    expect([code, hermit.output]).toEqual([0, `${reached}\nheard\n`]);
    expect(reached).toBe(`out of reach: ${isAlone ? 'ENETUNREACH' : ''}`);
  },
  LONG_MS,
);

test('no client has connected to any homeserver but its own', () => {
  for (const domain of DOMAINS) {
    const { address } = three.world(domain).door;
    const people = at(domain);
    expect(people.length).toBeGreaterThan(0);
    for (const { client } of people) {
      expect([client.userName, three.sockets.of(client.userName)]).toEqual([
        client.userName,
        [address],
      ]);
    }
  }
});
