// A check that ends before it was answered spends nothing, wherever it was when it ended.
import { constants, connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import {
  AuthorizationDefinition,
  CheckRequest,
} from '@roost/proto/envoy/service/auth/v3/external_auth';
import { TokenInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf } from '@roost/rpc/call';
import { connect } from '@roost/rpc/client';
import { frame } from '@roost/rpc/frames';
import { localTransport } from '@roost/rpc/local';
import { serve } from '@roost/rpc/server';
import { createLog } from '@roost/service/log';
import { type Aas, draw, reasonOf, runningAas, SEND } from './aas.fixture.ts';

/** Holds every insert up, as a database would that does not get on. */
async function heldUp(database: Database) {
  const [locked, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const done = database.transaction(async (tx) => {
    await tx.query({ text: 'LOCK TABLE spent IN SHARE ROW EXCLUSIVE MODE' });
    locked.resolve();
    await go.promise;
  });
  await locked.promise;
  return {
    inserts: async (count: number) => {
      for (;;) {
        const [row] = await database.query<{ n: bigint }>({
          text: `SELECT count(*) AS n FROM pg_locks
                  WHERE NOT granted AND relation = 'spent'::regclass`,
        });
        if (row?.n === BigInt(count)) return;
        await sleep(5);
      }
    },
    release: async () => {
      go.resolve();
      await done;
    },
  };
}

function gateOf(aas: Aas) {
  const transport = localTransport(aas.service.bindings, 'gate');
  const { checkToken } = clientOf(TokenInternalServiceDefinition, transport);
  return async (authorization: string, signal: AbortSignal, deadlineMs?: number) =>
    await reasonOf(checkToken({ path: SEND, authorization }, { signal, deadlineMs }));
}

async function spentRows({ database }: Aas): Promise<bigint | undefined> {
  const [rows] = await database.query<{ n: bigint }>({ text: 'SELECT count(*) AS n FROM spent' });
  return rows?.n;
}

test('a check that is given up while its insert runs gives the token back', async () => {
  await using aas = await runningAas();
  const check = gateOf(aas);
  const [mine = '', other = '', late = ''] = await draw(aas, 'general', 3);
  const held = await heldUp(aas.database);
  const gone = new AbortController();
  const given = check(mine, gone.signal);
  await held.inserts(1);
  const tooLate = check(late, new AbortController().signal, 100);
  await held.inserts(2);
  // This one waits behind them, and is not held up by what happens to them.
  const timely = check(other, new AbortController().signal);
  gone.abort();
  await given;
  expect(await tooLate).toBe('UNAVAILABLE');
  await held.release();
  expect(await timely).toEqual({});

  const { signal } = new AbortController();
  expect(await check(mine, signal)).toEqual({});
  // Its row goes a moment after its insert has come through.
  let again: unknown = 'TOKEN_SPENT';
  for (let count = 0; count < 200 && again === 'TOKEN_SPENT'; count++) {
    again = await check(late, signal);
    await sleep(20);
  }
  expect(again).toEqual({});
  for (const token of [mine, other, late]) expect(await check(token, signal)).toBe('TOKEN_SPENT');
  expect(await spentRows(aas)).toBe(3n);
});

test('a check that is given up while it waits for its turn spends nothing', async () => {
  await using aas = await runningAas();
  const check = gateOf(aas);
  const tokens = await draw(aas, 'general', 3);
  const held = await heldUp(aas.database);
  const { signal } = new AbortController();
  const running = tokens.slice(0, 2).map(async (token) => await check(token, signal));
  await held.inserts(2);
  const gone = new AbortController();
  const waiting = check(tokens[2] ?? '', gone.signal);
  await sleep(5);
  gone.abort();
  await waiting;
  await held.release();
  expect(await Promise.all(running)).toEqual([{}, {}]);
  expect(await spentRows(aas)).toBe(2n);
  expect(await check(tokens[2] ?? '', signal)).toEqual({});
});

/** A wire that keeps what a client sends until it is told to hand all of it on at once. */
async function holdingWire(port: number) {
  let isHeld = false;
  const [held, sockets]: [[Socket, Buffer][], Socket[]] = [[], []];
  const server = createServer((socket) => {
    const upstream = connectSocket(port, '127.0.0.1');
    sockets.push(socket, upstream);
    socket.on('data', (bytes) => {
      if (isHeld) held.push([upstream, bytes]);
      else upstream.write(bytes);
    });
    upstream.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    hold: () => void (isHeld = true),
    release: () => {
      isHeld = false;
      for (const [upstream] of held.slice(0, 1)) {
        upstream.write(Buffer.concat(held.splice(0).map(([, bytes]) => bytes)));
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('what was given up while this process stood still is not spent when it goes on', async () => {
  await using aas = await runningAas();
  const log = createLog('aas', 'silent');
  const listen = { host: '127.0.0.1', port: 0 };
  const bindings = aas.service.bindings;
  await using server = await serve({ listen, bindings, callers: 'gate', log });
  await using wire = await holdingWire(server.port);
  const tokens = await draw(aas, 'general', 20);
  const session = connectHttp2(`http://127.0.0.1:${wire.port}`);
  const headers = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
  const path = '/envoy.service.auth.v3.Authorization/Check';
  await new Promise((resolve) => session.ping(resolve));

  wire.hold();
  for (const authorization of tokens) {
    const http = { path: SEND, headers: { authorization } };
    const request = CheckRequest.encode({ attributes: { request: { http } } }).finish();
    const stream = session.request({ ...headers, ':path': path, 'grpc-timeout': '1S' });
    stream.on('error', () => {});
    stream.end(frame(request));
    // As Envoy does when its own time is up: the reset lies right behind the question.
    await sleep(1);
    stream.close(constants.NGHTTP2_CANCEL);
  }
  await sleep(50);
  wire.release();
  await new Promise((resolve) => session.ping(resolve));
  await sleep(200);
  expect(await spentRows(aas)).toBe(0n);

  using channel = connect(server.address);
  const { check } = clientOf(AuthorizationDefinition, channel);
  for (const authorization of tokens.slice(0, 3)) {
    const http = { path: SEND, headers: { authorization } };
    const { httpResponse } = await check({ attributes: { request: { http } } });
    expect(httpResponse?.$case).toBe('okResponse');
  }
  session.destroy();
});
