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

async function heard(text: string): Promise<boolean> {
  for (let waited = 0; waited < 500; waited += 10) {
    if (answers === text) return true;
    await sleep(10);
  }
  return false;
}

test('a whole cable lets all through', async () => {
  near.write('one');
  expect(await heard('one')).toBe(true);
});

test.each(['mute-there', 'mute-back', 'mute'] as const)(
  'what is said while it is %s arrives when it is whole again',
  async (condition) => {
    const seen: string[] = [];
    cable.watch = (bytes) => seen.push(bytes.toString());
    cable.set(condition);
    near.write('one');
    expect(await heard('one')).toBe(false);
    expect([answers, near.closed]).toEqual(['', false]);
    cable.set('whole');
    expect(await heard('one')).toBe(true);
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
  expect(await heard('x'.repeat(300))).toBe(true);
  cable.backPerSecond = 150;
  near.write('y'.repeat(100));
  expect(await heard(`${'x'.repeat(300)}${'y'.repeat(100)}`)).toBe(false);
  cable.backPerSecond = undefined;
});
