import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Chat } from '@roost/e2e/terminal';
import { World } from '@roost/e2e/world';

const folder = mkdtempSync(join(tmpdir(), 'roost-chat-'));
const running = new Set<Chat>();
let world: World;

beforeAll(async () => {
  world = await World.open();
});
afterAll(async () => {
  for (const chat of running) chat.kill();
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** The terminal client of somebody, ended at the latest when the tests are. */
function open(name: string, ...options: string[]): Chat {
  const chat = new Chat({ ...world.door, folder }, name, ...options);
  running.add(chat);
  return chat;
}

test('two talk: request, accept, lines both ways, fingerprints, refusals', async () => {
  const [alice, bob] = [open('alice'), open('bob')];
  await Promise.all([alice.ready(), bob.ready()]);
  await alice.type('/connect bob', '* bob is asked to connect');
  await alice.type('written before\tyou accepted');
  await bob.sees('* alice asks to connect: /accept alice or /reject alice');
  await bob.type('/accept', '* you are connected with alice');
  await alice.sees('* you are connected with bob');
  expect(await bob.sees('written before')).toBe('[alice] alice: written before\\tyou accepted');
  await bob.type('//shrug \u001b[31m');
  expect(await alice.sees('shrug')).toBe('[bob] bob: /shrug \\x1b[31m');

  const prints = await Promise.all([
    alice.type('/verify bob', 'compare with bob'),
    bob.type('/verify alice', 'compare with alice'),
  ]);
  expect(new Set(prints.map((line) => line.replace(/^.*: /, ''))).size).toBe(1);
  await alice.type('/leave', '* nobody leaves a conversation between two');
  await alice.type('/add carol', '* nobody is added to a conversation between two');
  await alice.type('/dance', '* there is no command /dance');
  await alice.type('/connect bob', '* you are connected already');
  await alice.type('/connect nobody', '* there is no such user');
  await alice.type('/connect carol@elsewhere.example', 'federation is not configured');
  await alice.type('/members', '* in bob: alice (you, owner), bob');

  expect(await Promise.all([alice.end(), bob.end()])).toEqual([0, 0]);
  expect(alice.lines.every((line) => /^(\* |\[[^\]]+\] [^:]+: )/.test(line))).toBe(true);
  expect(alice.lines.some((line) => line.includes('alice: '))).toBe(false);
});

test('three share a group, and one that was away gets what it missed, in order, once', async () => {
  const [dora, emil, finn] = [open('dora'), open('emil'), open('finn')];
  await Promise.all([dora.ready(), emil.ready(), finn.ready()]);
  for (const [name, other] of [
    ['emil', emil],
    ['finn', finn],
  ] as const) {
    await dora.type(`/connect ${name}`, 'is asked to connect');
    await other.sees('asks to connect');
    await other.type('/accept dora', 'you are connected');
    await dora.sees(`you are connected with ${name}`);
  }
  await dora.type('/group "A trip" emil finn', '* the group A trip is made');
  await Promise.all([
    emil.sees('* dora added you to A trip'),
    finn.sees('dora added you to A trip'),
  ]);
  expect(await finn.end()).toBe(0);
  for (const line of ['one', 'two', 'three']) await dora.type(line);
  await emil.sees('[A trip] dora: three');
  await emil.type('four');
  await dora.sees('[A trip] emil: four');

  const back = open('finn');
  await back.sees('[A trip] emil: four');
  expect(back.lines.filter((line) => line.startsWith('['))).toEqual([
    '[A trip] dora: one',
    '[A trip] dora: two',
    '[A trip] dora: three',
    '[A trip] emil: four',
  ]);
  await back.ready();
  await back.type('/switch A trip', '* lines go to A trip now');
  await back.type('five');
  await Promise.all([dora.sees('[A trip] finn: five'), emil.sees('[A trip] finn: five')]);

  await emil.type('/remove finn', '* your role in this room does not let you remove others');
  await dora.type('/remove finn', '* you removed finn from A trip');
  await back.sees('* dora removed you from A trip');
  await emil.type('/leave', '* you are no longer in A trip');
  await dora.sees('* emil left A trip');
  expect(await Promise.all([dora.end(), emil.end(), back.end()])).toEqual([0, 0, 0]);
});

test('rooms by commands: roles, a conversation of three, and a public room', async () => {
  const [rita, saul, tove] = [open('rita'), open('saul'), open('tove')];
  await Promise.all([rita.ready(), saul.ready(), tove.ready()]);
  for (const [one, name, other] of [
    [rita, 'saul', saul],
    [rita, 'tove', tove],
  ] as const) {
    await one.type(`/connect ${name}`, `* ${name} is asked`);
    await other.sees('* rita asks to connect');
    await other.type('/accept', '* you are connected with rita');
    await one.sees(`* you are connected with ${name}`);
  }
  await rita.type('/group --policy strict Choir saul tove', '* the group Choir is made');
  await Promise.all([saul.sees('added you to Choir'), tove.sees('added you to Choir')]);
  await saul.type('/kick tove', '* your role in this room does not let you remove others');
  await rita.type('/role saul moderator', '* you made saul a moderator of Choir');
  await saul.sees('* rita made you a moderator of Choir');
  await saul.type('/members', '* in Choir: rita (owner), saul (you, moderator), tove');
  await tove.type('off key');
  await saul.sees('[Choir] tove: off key');
  await saul.type('/delete tove', '* deleted: off key');
  await tove.sees('* saul deleted a line of Choir');
  await saul.type('/ban tove', '* you banned tove from Choir');
  await tove.sees('* saul removed you from Choir');
  await rita.type('/add tove', '* somebody is banned from this room');

  await rita.type('/groupdm saul tove', '* lines go to saul, tove now');
  await Promise.all([saul, tove].map((each) => each.sees('* rita added you to')));
  await rita.type('just us three');
  expect(await tove.sees('just us three')).toBe('[rita, saul] rita: just us three');

  await rita.type('/public Song Market', 'can see who is in it; /yes makes the public room');
  await rita.type('/yes', '* the public room Song Market is made');
  await tove.type('/rooms song', '* public room: Song Market');
  await tove.type('/join song market', 'can see who is in it; /yes enters Song Market');
  await tove.type('/yes', '* you are in Song Market');
  await rita.sees('* tove joined Song Market');
  await tove.type('la la la');
  await rita.sees('[Song Market] tove: la la la');
  expect(await Promise.all([rita.end(), saul.end(), tove.end()])).toEqual([0, 0, 0]);
});

test('what is unsent at the end of input is named, and goes on at the next start', async () => {
  const [gina, hugo] = [open('gina', '--wait', '1'), open('hugo', '--stay')];
  await Promise.all([gina.ready(), hugo.ready()]);
  await gina.type('/connect hugo', 'is asked');
  await gina.type('are you there?');
  expect(await gina.end()).toBe(1);
  expect(gina.lines.at(-1)).toBe('* not sent yet to hugo: are you there?');

  await hugo.type('/accept', 'you are connected with gina');
  const again = open('gina', '--wait', '20');
  expect(await again.end()).toBe(0);
  expect(await hugo.sees('are you there?')).toBe('[gina] gina: are you there?');
  expect(hugo.lines.filter((line) => line.includes('are you there?'))).toHaveLength(1);
  hugo.kill('SIGTERM');
  expect(await hugo.exit()).toBe(0);
});

test('a lost homeserver is said and reconnected to, and queued lines are sent once', async () => {
  const [ines, jan] = [open('ines'), open('jan')];
  await Promise.all([ines.ready(), jan.ready()]);
  await ines.type('/connect jan', 'is asked');
  await jan.sees('asks to connect');
  await jan.type('/accept', 'you are connected');
  await ines.sees('you are connected');
  await world.stop();
  await ines.sees('* the homeserver does not answer');
  await ines.type('queued one');
  await ines.type('queued two');
  await world.start();
  await ines.sees('* the homeserver answers again');
  await jan.sees('queued two');

  expect(jan.lines.filter((line) => line.startsWith('['))).toEqual([
    '[ines] ines: queued one',
    '[ines] ines: queued two',
  ]);
  expect(await Promise.all([ines.end(), jan.end()])).toEqual([0, 0]);
});

test('whatever stands in the way of a start is one sentence', async () => {
  const first = open('karl', '--stay');
  await first.ready();
  const second = open('karl');
  expect(await second.exit()).toBe(1);
  expect(second.errors).toContain('is in use by another running client');
  first.kill('SIGINT');
  expect(await first.exit()).toBe(0);

  const misused = open('lara', '--bogus');
  expect(await misused.exit()).toBe(2);
  const taken = open('karl', '--data', join(folder, 'other'));
  expect(await taken.exit()).toBe(1);
  expect(taken.errors).toContain('taken');
  const away = open('mika', '--server', '127.0.0.1:1');
  expect(await away.exit()).toBe(1);
  expect(away.errors).toContain('no homeserver answers on 127.0.0.1:1');
});

test('lines go where they were meant to go, whoever accepts meanwhile', async () => {
  const [nina, olaf, paul] = [open('nina'), open('olaf'), open('paul')];
  await Promise.all([nina.ready(), olaf.ready(), paul.ready()]);
  await nina.type('/connect olaf', 'olaf is asked');
  await nina.type('/connect paul', 'paul is asked');
  await olaf.sees('asks to connect');
  await olaf.type('/accept', 'you are connected');
  await nina.sees('you are connected with olaf');
  await nina.type('for paul alone');
  await paul.sees('asks to connect');
  await paul.type('/accept', 'you are connected');

  expect(await paul.sees('for paul')).toBe('[nina] nina: for paul alone');
  expect(await Promise.all([nina.end(), olaf.end(), paul.end()])).toEqual([0, 0, 0]);
  expect(olaf.lines.some((line) => line.includes('for paul'))).toBe(false);
});
