// The lines that faults are made with do what they say: else a partition would be none.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { Cable } from './cable.ts';

const all = new AsyncDisposableStack();
let cable: Cable;
let near: Socket;
let answers = '';

beforeAll(async () => {
  const echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  all.defer(() => void echo.close());
  cable = all.use(await Cable.open(`127.0.0.1:${(echo.address() as AddressInfo).port}`));
});
afterAll(async () => {
  await all.disposeAsync();
});
afterEach(() => void near.destroy());
beforeEach(async () => {
  cable.set('whole');
  answers = '';
  near = await plugIn();
});

function connectTo({ address }: Cable): Socket {
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1');
  return socket.on('error', () => undefined);
}

async function plugIn(): Promise<Socket> {
  const socket = connectTo(cable);
  socket.on('data', (bytes) => (answers += bytes.toString()));
  await once(socket, 'connect');
  return socket;
}

async function closed(socket: Socket): Promise<void> {
  while (!socket.closed) await sleep(10);
}

/** Says how long it took. */
async function heard(text: string): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const tookMs = performance.now() - startMs;
    if (answers === text) return tookMs;
    if (tookMs > 20_000) throw new Error(`heard ${answers}, not ${text}`);
    await sleep(10);
  }
}

test('a whole cable lets all through', async () => {
  near.write('one');
  expect(await heard('one')).toBeLessThan(20_000);
});

test.each(['mute-there', 'mute-back', 'mute'] as const)(
  'what is said while it is %s arrives when it is whole again',
  async (condition) => {
    const seen: string[] = [];
    cable.watch = (bytes) => seen.push(bytes.toString());
    cable.set(condition);
    near.write('one');
    await sleep(500);
    expect([answers, near.closed]).toEqual(['', false]);
    cable.set('whole');
    await heard('one');
    expect(seen).toEqual(['one']);
    cable.watch = undefined;
  },
);

test('a cut cable resets what stands, and takes nothing new', async () => {
  cable.set('cut');
  await closed(near);
  await closed(connectTo(cable));
});

test('a slow cable takes its time', async () => {
  cable.backPerSecond = 1_000;
  near.write('x'.repeat(300));
  await heard('x'.repeat(300));
  cable.backPerSecond = 150;
  near.write('y'.repeat(100));
  // It does so in two thirds of a second; a busy machine makes it longer, never shorter.
  expect(await heard(`${'x'.repeat(300)}${'y'.repeat(100)}`)).toBeGreaterThan(600);
  cable.backPerSecond = undefined;
});
