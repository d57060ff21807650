// Two homeservers, and clients each of which speaks with its own alone: what people do with those of the other.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import type { Person } from '@roost/e2e/person';
import { ListingKind } from '@roost/proto/roost/federation/v1/admin';
import { connectPeople, TwoHomes } from './elsewhere.fixture.ts';

let homes: TwoHomes;
let alice: Person;
let anna: Person;
let bob: Person;
let dm: string;

beforeAll(async () => {
  homes = await TwoHomes.open();
  [alice, anna, bob] = await Promise.all([
    homes.come('alice', homes.a),
    homes.come('anna', homes.a),
    homes.come('bob', homes.b),
  ]);
  dm = await connectPeople(alice, bob);
  await connectPeople(bob, anna);
});
afterAll(async () => {
  await Promise.all([alice, anna, bob].map(async (each) => each[Symbol.asyncDispose]()));
  await homes[Symbol.asyncDispose]();
});

test('two of two homeservers talk both ways, whoever asked, and compare the same digits', async () => {
  expect(dm.endsWith('@a.example')).toBe(true);
  await bob.client.send(dm, 'hello alice');
  expect((await alice.hears('hello alice')).sender).toBe('bob@b.example');
  await alice.client.send(dm, 'hello bob');
  expect((await bob.hears('hello bob')).sender).toBe('alice@a.example');
  expect(alice.client.fingerprint('bob@b.example')).toBe(bob.client.fingerprint('alice@a.example'));
  expect(alice.client.chat(dm)?.name).toBe('bob@b.example');

  const theirs = await bob.client.connect('anna@a.example');
  expect(theirs.endsWith('@b.example')).toBe(true);
  await anna.client.send(theirs, 'by your hub');
  expect((await bob.hears('by your hub')).sender).toBe('anna@a.example');
});

test('a group of people of both is changed by all of them, and nobody is in it who was removed', async () => {
  await connectPeople(alice, anna);
  const chat = await alice.client.createGroup('Both', ['bob@b.example', 'anna']);
  expect((await bob.until('joined')).by).toBe('alice@a.example');
  await anna.until('joined');
  await bob.client.send(chat, 'from elsewhere');
  await Promise.all([alice.hears('from elsewhere'), anna.hears('from elsewhere')]);
  await bob.client.setTitle(chat, 'Both of us');
  await Promise.all([alice.until('title'), anna.until('title')]);
  await anna.client.send(chat, 'to all');
  await Promise.all([alice.hears('to all'), bob.hears('to all')]);
  const names = bob.client.members(chat).map(({ name }) => name);
  expect(names.toSorted()).toEqual(['alice@a.example', 'anna@a.example', 'bob@b.example']);

  await alice.client.remove(chat, 'bob@b.example');
  expect((await bob.until('gone')).by).toBe('alice@a.example');
  await expect(bob.client.send(chat, 'still there?')).rejects.toThrow('not in this chat');
  await alice.client.add(chat, ['bob@b.example']);
  await bob.until('joined', ({ title }) => title === 'Both of us');
  await alice.client.send(chat, 'welcome back');
  await bob.hears('welcome back');
  await bob.client.leave(chat);
  await alice.until('left', ({ name }) => name === 'bob@b.example');
  await anna.until('left');
});

test('what is silenced does not come, nobody can tell, and the log of the other hub leads back', async () => {
  // What comes to Bella comes to Bob's homeserver at the same moment.
  await using bella = await homes.come('bella', homes.b);
  await connectPeople(alice, bella);
  const chat = await alice.client.createGroup('Loud', ['bob@b.example', 'bella@b.example']);
  await bob.until('joined', ({ title }) => title === 'Loud');
  await bob.client.silence(chat);
  await alice.client.send(chat, 'not heard');
  await alice.client.setTitle(chat, 'Louder');
  await bella.hears('not heard');
  await bella.until('title');
  await bob.client.unsilence(chat);
  await alice.client.send(chat, 'heard again');
  await bob.hears('heard again');
  expect(bob.texts()).not.toContain('not heard');
  expect(bob.client.chat(chat)?.name).toBe('Louder');
  await bob.client.setNotifications(chat, { kind: 'silent' });
  expect(bob.client.chat(chat)?.notifications).toEqual({ kind: 'silent' });

  // Where the log of the other hub leads no further, Bob comes back by himself.
  await bob.client.silence(chat);
  await alice.client.setTitle(chat, 'Loudest');
  await bella.until('title', ({ title }) => title === 'Loudest');
  await homes.a.databases.ds.query({ text: 'DELETE FROM log' });
  await bob.client.unsilence(chat);
  await bob.until('returned');
  await bob.client.send(chat, 'back again');
  await Promise.all([alice.hears('back again'), bella.hears('back again')]);
});

test('public rooms of the other homeserver are found and entered there', async () => {
  const chat = await alice.client.rooms.createPublicRoom('Tea at A');
  expect(await bob.client.rooms.find('tea')).toEqual([]);
  const [room] = await bob.client.rooms.find('tea', 'a.example');
  if (room === undefined) throw new Error('the room is found');
  expect(await bob.client.rooms.join(room)).toBe(chat);
  await alice.until('entered', ({ name }) => name === 'bob@b.example');
  await bob.client.send(chat, 'a cup');
  await alice.hears('a cup');
  await alice.client.send(chat, 'milk?');
  await bob.hears('milk?');
});

test('a request from elsewhere is rejected, and who is blocked is heard of no more', async () => {
  await using boris = await homes.come('boris', homes.b);
  await boris.client.connect('alice@a.example');
  await alice.until('request', ({ name }) => name === 'boris@b.example');
  await alice.client.reject('boris@b.example');
  await boris.until('rejected', ({ name }) => name === 'alice@a.example');

  await bob.client.block('alice@a.example');
  await alice.client.send(dm, 'nobody hears this');
  await homes.delivered(homes.a);
  // Blocked people cannot add either: what opens our KeyPackages to them is gone.
  const adding = alice.client.createGroup('Blocked', ['bob@b.example']);
  await expect(adding).rejects.toBeInstanceOf(Failure);
  await bob.client.unblock('alice@a.example');
  await alice.client.send(dm, 'heard');
  await bob.hears('heard');
  expect(bob.texts()).not.toContain('nobody hears this');
});

test('in a terminal people of the other homeserver have their whole names, and ours short ones', async () => {
  const [cara, cem] = [homes.chat('cara', homes.a), homes.chat('cem', homes.b)];
  try {
    await Promise.all([cara.ready(), cem.ready()]);
    await cara.type('/connect cem@b.example', '* cem@b.example is asked to connect');
    await cem.sees('* cara@a.example asks to connect: /accept cara@a.example or /reject');
    await cem.type('/accept cara@a.example', '* you are connected with cara@a.example');
    await cara.sees('* you are connected with cem@b.example');
    await cara.type('good day');
    expect(await cem.sees('good day')).toBe('[cara@a.example] cara@a.example: good day');
    await cem.type('/members', '* in cara@a.example: cara@a.example (owner), cem (you)');
    await cara.type('/public Coffee at A', '/yes makes the public room');
    await cara.type('/yes', '* the public room Coffee at A is made');
    await cem.type('/rooms @a.example coffee', '* public room: Coffee at A');
    await cem.type('/join @a.example coffee at a', '/yes enters Coffee at A of a.example');
    await cem.type('/yes', '* you are in Coffee at A');
    await cara.sees('* cem@b.example joined Coffee at A');
    await cara.type('/connect xaver@nowhere.example');
    await cara.sees(
      '* nowhere.example does not answer; what is for it is kept and goes on by itself',
    );
  } finally {
    cara.kill();
    cem.kill();
  }
});

test('names that nobody has, and homeservers that are not there, are refused or waited for by name', async () => {
  await expect(alice.client.connect('nobody@b.example')).rejects.toMatchObject({
    reason: 'USER_UNKNOWN',
  });
  await expect(alice.client.connect('bob@bad_domain')).rejects.toMatchObject({
    reason: 'MALFORMED',
  });
  const waiting = alice.client.connect('somebody@nowhere.example');
  waiting.catch(() => undefined);
  await alice.until('peer-away', ({ domain }) => domain === 'nowhere.example');
  // Nothing else waits for it, and our own homeserver is not taken for away.
  await alice.client.send(dm, 'meanwhile');
  await bob.hears('meanwhile');
  expect(alice.events.map(({ kind }) => kind)).not.toContain('away');
});

test('whom our homeserver may not ask about is not put out by us: words wait until it may, and nothing else does', async () => {
  await using c = await homes.third();
  await using carol = await homes.come('carol', c);
  await connectPeople(alice, carol);
  let chat: string;
  {
    await using ben = await homes.come('ben', homes.b);
    await connectPeople(alice, ben);
    chat = await alice.client.createGroup('Of three', ['ben@b.example']);
    await ben.until('joined');
    // What he may do to those who are forged, he must not do to her.
    await alice.client.rooms.setRole(chat, 'ben@b.example', 'owner');
    await ben.until('role');
  }
  await alice.client.add(chat, ['carol@c.example']);
  await carol.until('joined');
  await homes.list(homes.b, 'c.example', ListingKind.BLOCKED);

  await using ben = await homes.come('ben', homes.b);
  expect(await ben.until('unjudged')).toMatchObject({ chat, domain: 'c.example' });
  const { sent } = await ben.client.send(chat, 'what waits');
  await ben.client.setTitle(chat, 'Of three still');
  await Promise.all([alice.until('title', isOf(chat)), carol.until('title', isOf(chat))]);
  await carol.client.send(chat, 'by nobody we know');
  await alice.hears('by nobody we know');
  await alice.client.send(chat, 'by one of us');
  await Promise.all([ben.hears('by one of us'), carol.hears('by one of us')]);
  expect(ben.texts()).toEqual(['by one of us']);
  expect(ben.client.members(chat).map(({ name, unjudged }) => unjudged ?? name)).toEqual([
    'alice@a.example',
    'ben@b.example',
    'c.example',
  ]);
  expect(alice.texts()).not.toContain('what waits');

  await homes.list(homes.b, 'c.example', ListingKind.UNSPECIFIED);
  await ben.client.send(chat, 'what is said then');
  for (const one of [alice, carol]) {
    await one.hears('what waits');
    await one.hears('what is said then');
  }
  await sent;
  await ben.until('added', ({ name }) => name === 'carol@c.example');
  await carol.client.send(chat, 'by Carol');
  expect((await ben.hears('by Carol')).sender).toBe('carol@c.example');
  for (const { events } of [alice, ben, carol]) {
    const kinds = events.map((event) => 'chat' in event && event.chat === chat && event.kind);
    expect(kinds).not.toContain('forged');
    expect(kinds).not.toContain('removed');
  }
});

const isOf =
  (chat: string) =>
  (event: { readonly chat: string }): boolean =>
    event.chat === chat;

test('what is for a homeserver that is away waits, and goes on when it is back', async () => {
  await homes.b.stop();
  await (
    await alice.client.send(dm, 'while you were away')
  ).sent;
  await using adam = await homes.come('adam', homes.a);
  const connecting = adam.client.connect('bob@b.example');
  await adam.until('peer-away', ({ domain }) => domain === 'b.example');
  await homes.b.start();
  await bob.hears('while you were away');
  await connecting;
  await bob.until('request', ({ name }) => name === 'adam@a.example');
  await adam.until('peer-back', ({ domain }) => domain === 'b.example');
});
