// A DS in a process of its own, which ends itself by SIGKILL (or freezes by SIGSTOP) at the step that it is told. Orders are lines
// of JSON on its standard input; its bus is a connection to whoever gave them, one for each batch.
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { MemoryBell } from '@roost/bus/memory';
import type { Bus } from '@roost/bus/ports';
import { assert } from '@roost/core/assert';
import { concat, fromHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { systemClock } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { Database } from '@roost/postgres/database';
import { serve } from '@roost/rpc/server';
import { createLog } from '@roost/service/log';
import { dsDefaults } from '../config.ts';
import type { FaultPoint } from '../desk.ts';
import { openDs } from '../service.ts';
import { home } from './house.fixture.ts';
import type { Doom, Order, Place } from './mortal-house.fixture.ts';

/** How many were about to be made. */
let statements = 0;
let doom: { readonly points: readonly FaultPoint[]; left: number; signal: Doom } | undefined;

/** Synchronous, so that not one instruction of ours follows. */
function faults(point: FaultPoint): void {
  if (point === 'accept.statement') statements++;
  if (doom?.points.includes(point) !== true) return;
  if (doom.left === 0) {
    writeSync(1, `${JSON.stringify({ point, statements })}\n`);
    const { signal } = doom;
    // Who was frozen and wakes again goes on.
    doom = undefined;
    process.kill(process.pid, signal);
    return;
  }
  doom.left--;
}

function busOf(path: string): Bus {
  return {
    async request(partition, batch) {
      const socket = connect(path);
      const parts: Uint8Array[] = [];
      socket.on('data', (part) => parts.push(Uint8Array.from(part)));
      const ended = once(socket, 'close');
      socket.end(concat(Uint8Array.of(partition), batch));
      await ended;
      const answer = concat(...parts);
      if (answer.length === 0) throw new Failure('UNAVAILABLE', 'bus: lost');
      return answer;
    },
    serve() {
      throw new Error('this bus has its receiver');
    },
  };
}

function keyOf(hex: string): Uint8Array {
  const key = fromHex(hex);
  assert(key !== undefined, 'a key is given in hex');
  return key;
}

async function open({ database: config, bus, transportKey, hubKey }: Place) {
  const stack = new AsyncDisposableStack();
  const database = stack.use(new Database(config, 4));
  const log = createLog('ds', 'silent');
  const ds = await openDs(
    { domain: home, ...dsDefaults },
    {
      ...{ database, crypto: nodeCrypto, clock: systemClock, log, bus: busOf(bus), faults },
      ...{ transportKey: keyOf(transportKey), hubKey: keyOf(hubKey), incarnation: 1 },
      ...{ bell: new MemoryBell(), replica: 'mortal' },
    },
  );
  stack.defer(async () => await ds.close());
  const listen = { host: '127.0.0.1', port: 0 };
  const { address } = stack.use(
    await serve({ listen, bindings: [...ds.bindings], callers: 'edge', gate: async () => {}, log }),
  );
  process.stdout.write(`${address}\n`);
  return stack;
}

await using stack = new AsyncDisposableStack();
process.stdout.write('born\n');
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order;
  if (order.kind === 'open') stack.use(await open(order.place));
  else doom = { points: order.points, left: order.after, signal: order.signal };
}
