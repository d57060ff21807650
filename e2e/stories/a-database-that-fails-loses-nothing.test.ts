// A stopped database, cut connections and a full disk: each is a status with a reason, nothing that
// was accepted is lost, the process lives, and works again when the trouble is over.
import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { sleep } from '@roost/core/time';
import { Tokens } from '@roost/e2e/tokens';
import { Wire } from '@roost/e2e/wire';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { World } from '@roost/e2e/world';
import { Database } from '@roost/postgres/database';
import { type Embedded, startEmbedded } from '@roost/postgres/embedded';

const ACK = '/roost.queue.v1.QueueService/Ack';
const FIND = '/roost.authentication.v1.AuthenticationService/FindUser';
const KEYS = '/roost.authentication.v1.AuthenticationService/GetPublicKeys';
/** Small enough to be filled at once, large enough for four databases. */
const DISK_MEGABYTES = 320;
const isRoot = process.getuid?.() === 0;
const shared = process.env['ROOST_TEST_POSTGRES'];
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'roost-trouble-'));
  await chmod(root, 0o711);
});
afterAll(async () => {
  process.env['ROOST_TEST_POSTGRES'] = shared;
  await rm(root, { recursive: true });
});

/** A cluster of this test's own, on which new worlds are made from now on. */
async function clusterIn(home: string): Promise<Embedded> {
  const cluster = await startEmbedded({ home, fsync: false, log: () => undefined });
  const host = encodeURIComponent(cluster.host);
  process.env['ROOST_TEST_POSTGRES'] = `postgres:///postgres?host=${host}`;
  return cluster;
}

/** Two who talk over a homeserver whose database is going to fail. */
async function talking() {
  await using all = new AsyncDisposableStack();
  const world = all.use(await World.open());
  const ann = all.use(await Witness.come(world.door, 'ann'));
  const ben = all.use(await Witness.come(world.door, 'ben'));
  const chat = await connectTwo(ann, ben);
  const tokens = await Tokens.of(ann, world.door);
  await tokens.draw('general', 100);
  await tokens.draw('contact', 10);
  const wire = new Wire(world.door);
  const ask = async (path: string): Promise<string> => {
    const tokenClass = path === FIND ? 'contact' : 'general';
    const authorization = path === KEYS ? undefined : await tokens.take(tokenClass);
    return (await wire.grpc({ path, authorization })).said;
  };
  const kept = all.move();
  return {
    ...{ world, ann, ben, chat, ask },
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
  };
}

type Talking = Awaited<ReturnType<typeof talking>>;

/** Both say so many lines, as fast as they are written down. */
async function say(
  { ann, ben, chat }: Talking,
  from: number,
  to: number,
  padding = '',
): Promise<void> {
  for (let at = from; at < to; at++) {
    await ann.client.send(chat, `ann ${at}${padding}`);
    await ben.client.send(chat, `ben ${at}${padding}`);
  }
}

const PADDING = ` ${'.'.repeat(60_000)}`;

function errorsOf({ ann, ben }: Talking): unknown[] {
  const calls = [ann, ben].flatMap(({ recorder }) => recorder.calls);
  return calls.flatMap(({ error }) => (error === undefined ? [] : [error]));
}

/** All arrived, once, in order; and no call heard of more than that the database was away. */
async function expectAll(both: Talking, count: number): Promise<void> {
  const { ann, ben, chat } = both;
  const lines = (name: string) => Array.from({ length: count }, (_, at) => `${name} ${at}`);
  await Promise.all([ben.hears(`ann ${count - 1}`), ann.hears(`ben ${count - 1}`)]);
  const heard = (by: Witness) => by.texts(chat).map((text) => text.replace(PADDING, ''));
  expect(heard(ben)).toEqual(lines('ann'));
  expect(heard(ann)).toEqual(lines('ben'));
  expect(errorsOf(both).filter((error) => !(error instanceof Failure))).toEqual([]);
}

test('a stopped database is UNAVAILABLE; when it is back, all goes on without a restart', async () => {
  const home = join(root, 'stopped');
  await mkdir(home, { mode: 0o711 });
  // Whoever stands on it ends before it does.
  await using clusters = new AsyncDisposableStack();
  const first = clusters.use(await clusterIn(home));
  await using both = await talking();
  await say(both, 0, 5);
  await first.stop();

  await say(both, 5, 10);
  for (const path of [ACK, FIND]) expect(await both.ask(path)).toBe('UNAVAILABLE');
  // What is held in memory is still told.
  expect(await both.ask(KEYS)).toBe('OK');

  const second = clusters.use(await clusterIn(home));
  expect(second.host).toBe(first.host);
  await say(both, 10, 15);
  await expectAll(both, 15);
  expect(await both.ask(ACK)).toBe('UNAUTHENTICATED');
});

test('connections that are cut in the middle of everything are made anew', async () => {
  const home = join(root, 'cut');
  await mkdir(home, { mode: 0o711 });
  await using cluster = await clusterIn(home);
  await using both = await talking();
  await using server = new Database(cluster.superuser('postgres'), 1);
  const saying = say(both, 0, 60);
  for (let count = 0; count < 6; count++) {
    await sleep(150);
    await server.query({
      text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`,
    });
  }
  await saying;
  await expectAll(both, 60);
});

// Only root can mount a disk that is small enough to be filled.
const onFullDisk = isRoot && process.platform === 'linux' ? test : undefined;
test('the test of a full disk runs as root alone', () => {
  if (onFullDisk === undefined) process.stderr.write('left out: a full disk, as we are not root\n');
  expect(onFullDisk === undefined).toBe(!isRoot);
});
onFullDisk?.('a full disk is UNAVAILABLE; with room again, nothing is lost', async () => {
  const disk = join(root, 'disk');
  await mkdir(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MEGABYTES}m,mode=711`, 'tmpfs', disk]);
  try {
    const home = join(disk, 'home');
    await mkdir(home, { mode: 0o711 });
    await using _cluster = await clusterIn(home);
    await using both = await talking();
    await say(both, 0, 5);

    const filler = join(disk, 'filler');
    fill(filler, 1 << 20);
    fill(filler, 4 << 10);
    // First the tables have no room, and then, when what it had set aside is used up, the log.
    let lines = 5;
    for (; lines < 25; lines++) await say(both, lines, lines + 1, PADDING);
    while (errorsOf(both).length === 0) await sleep(20);
    for (let said = ''; said !== 'UNAVAILABLE'; said = await both.ask(ACK)) {
      await say(both, lines, ++lines);
      for (let count = 0; count < 8; count++) {
        await both.world.databases.qs.query(WASTE).catch(() => undefined);
      }
      expect(lines).toBeLessThan(400);
    }
    expect(await both.ask(KEYS)).toBe('OK');

    await rm(filler);
    await say(both, lines, lines + 5);
    await expectAll(both, lines + 5);
    expect(await both.ask(ACK)).toBe('UNAUTHENTICATED');
  } finally {
    execFileSync('umount', ['-l', disk]);
  }
});

/** Writes a megabyte of log, and takes none of it back. */
const WASTE = { text: `SELECT pg_logical_emit_message(false, 'waste', repeat('x', 1000000))` };

function fill(path: string, step: number): void {
  const block = new Uint8Array(step);
  try {
    for (;;) appendFileSync(path, block);
  } catch {
    // That was all.
  }
}
