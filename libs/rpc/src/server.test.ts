import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';

import { afterEach, describe, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';

import { clientOf, connect } from './client.ts';
import { EchoDefinition, echoBinding, type EchoHandlers } from './echo.fixture.ts';
import { type RunningServer, serve, type ServeOptions, type TokenGate } from './server.ts';
import { connectWeb } from './web.ts';

const running: RunningServer[] = [];
const closing: (() => void)[] = [];
const logged: object[] = [];
const log = { info: () => {}, warn: () => {}, error: (fields: object) => void logged.push(fields) };

afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await Promise.all(running.splice(0).map((server) => server.close(0)));
  logged.length = 0;
});

async function started(handlers: Partial<EchoHandlers> = {}, options: Partial<ServeOptions> = {}) {
  const server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    bindings: [echoBinding(handlers)],
    callers: 'edge',
    log,
    ...options,
  });
  running.push(server);
  return server;
}

const transports = {
  native: (address: string) => {
    const channel = connect(address);
    closing.push(() => channel.close());
    return channel;
  },
  web: (address: string) => connectWeb(`http://${address}`),
};

function refused(reason: string) {
  return expect.objectContaining({ name: 'Failure', reason });
}

const hello = { typeUrl: 'hello', value: Uint8Array.of(1, 2, 3) };

describe.each(['native', 'web'] as const)('over %s', (way) => {
  const clientAt = (server: RunningServer) =>
    clientOf(EchoDefinition, transports[way](server.address));

  test('a unary call is answered, with plain bytes', async () => {
    let got: unknown;
    const server = await started({
      open: async (request) => {
        got = request.value;
        return request;
      },
    });
    expect(await clientAt(server).open(hello)).toEqual(hello);
    expect(got).toEqual(Uint8Array.of(1, 2, 3));
    expect(Buffer.isBuffer(got)).toBe(false);
  });

  test('an empty message and a large one come through', async () => {
    const client = clientAt(await started());
    const empty = { typeUrl: '', value: new Uint8Array() };
    const large = { typeUrl: 'large', value: new Uint8Array(1_000_000).fill(7) };
    expect(await client.open(empty)).toEqual(empty);
    const back = await client.large(large);
    expect(Buffer.compare(back.value, large.value)).toBe(0);
  });

  test('a stream comes in order and ends', async () => {
    const seen: number[] = [];
    for await (const each of clientAt(await started()).follow(hello)) seen.push(each.value[0] ?? 0);
    expect(seen).toEqual([1, 2, 3]);
  });

  test('a stream that is faster than its reader is held back', async () => {
    let sent = 0;
    const server = await started({
      async *follow() {
        for (; sent < 400; sent++) yield { typeUrl: '', value: new Uint8Array(64 << 10) };
      },
    });
    let read = 0;
    for await (const _ of clientAt(server).follow(hello)) {
      if (++read === 1) {
        await after(100);
        expect(sent).toBeLessThan(400);
      }
    }
    expect(read).toBe(400);
  });

  test('200 calls at once are answered each with its own', async () => {
    const client = clientAt(await started());
    const requests = Array.from({ length: 200 }, (_, at) => ({
      typeUrl: String(at),
      value: new Uint8Array(at),
    }));
    expect(await Promise.all(requests.map((each) => client.open(each)))).toEqual(requests);
  });

  test('a refusal arrives as it was, with its facts', async () => {
    const facts = {
      field: 'user_name',
      retryAfterMs: 61_500,
      serverTimeMs: 5n,
      currentEpoch: 2n ** 63n,
      lowestFree: 0,
    };
    const server = await started({
      open: async () => {
        throw new Failure('BATCH_USED', 'schon benutzt: 100 % „ä“', facts);
      },
    });
    const error = await clientAt(server)
      .open(hello)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Failure);
    expect(error).toMatchObject({
      reason: 'BATCH_USED',
      message: 'schon benutzt: 100 % „ä“',
      facts,
    });
  });

  test('a refusal in the middle of a stream comes after what was sent before', async () => {
    const server = await started({
      async *follow(request) {
        yield request;
        throw new Failure('LISTENER_REPLACED', 'another one listens');
      },
    });
    const seen: unknown[] = [];
    const follow = async () => {
      for await (const each of clientAt(server).follow(hello)) seen.push(each);
    };
    await expect(follow()).rejects.toEqual(refused('LISTENER_REPLACED'));
    expect(seen).toEqual([hello]);
  });

  test('an error of ours is told as nothing but an internal error, and logged without its text', async () => {
    const server = await started({
      open: async () => {
        throw new TypeError('secret-id');
      },
    });
    await expect(clientAt(server).open(hello)).rejects.toMatchObject({
      name: 'ServerError',
      code: 13,
      message: 'internal error',
    });
    const [{ method, error } = {}] = logged as { method?: string; error?: Error }[];
    expect([method, error?.message]).toEqual(['/roost.echo.v1.EchoService/Open', 'TypeError']);
    expect(error?.stack).toContain('server.test.ts');
    expect(error?.stack).not.toContain('secret-id');
  });

  test('a request that is longer than its rule allows is refused, and the connection goes on', async () => {
    const client = clientAt(await started());
    const value = new Uint8Array(65_536);
    await expect(client.open({ typeUrl: '', value })).rejects.toEqual(refused('TOO_LARGE'));
    const huge = new Uint8Array(3 << 20);
    await expect(client.large({ typeUrl: '', value: huge })).rejects.toEqual(refused('TOO_LARGE'));
    expect(await client.open(hello)).toEqual(hello);
  });

  test('an abort reaches the handler, and the caller hears its own reason', async () => {
    const aborted = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const server = await started({
      open: async (request, { signal }) => {
        signal.addEventListener('abort', () => aborted.resolve());
        entered.resolve();
        await aborted.promise;
        return request;
      },
    });
    const controller = new AbortController();
    const call = clientAt(server).open(hello, { signal: controller.signal });
    call.catch(() => {});
    await entered.promise;
    controller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
    await aborted.promise;
  });

  test('who stops reading a stream ends it at the server', async () => {
    const ended = Promise.withResolvers<void>();
    const server = await started({
      async *follow(request, { signal }) {
        yield request;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        ended.resolve();
      },
    });
    for await (const _ of clientAt(server).follow(hello)) break;
    await ended.promise;
  });

  test('a handler that never looks whether anybody listens is ended too', async () => {
    const ended = Promise.withResolvers<void>();
    const server = await started({
      async *follow(request) {
        try {
          for (;;) {
            yield request;
            await after(5);
          }
        } finally {
          ended.resolve();
        }
      },
    });
    for await (const _ of clientAt(server).follow(hello)) break;
    await ended.promise;
  });

  test('a deadline ends the call on both sides', async () => {
    const aborted = Promise.withResolvers<void>();
    const server = await started({
      open: async (request, { signal }) => {
        // Where the machine is busy it may have ended before it began here.
        if (!signal.aborted) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }
        aborted.resolve();
        return request;
      },
    });
    // Long enough to get there from a busy machine.
    const call = clientAt(server).open(hello, { deadlineMs: 800 });
    await expect(call).rejects.toEqual(refused('UNAVAILABLE'));
    await aborted.promise;
  });

  test('a call without a deadline ends by the one of the server', async () => {
    const open: EchoHandlers['open'] = async () => new Promise(() => {});
    const server = await started({ open }, { unaryMs: 50 });
    await expect(clientAt(server).open(hello)).rejects.toEqual(refused('UNAVAILABLE'));
  });

  test('what only services or the operator call is not there for clients', async () => {
    const client = clientAt(await started());
    await expect(client.service(hello)).rejects.toEqual(refused('METHOD_UNKNOWN'));
    await expect(client.operator(hello)).rejects.toEqual(refused('METHOD_UNKNOWN'));
  });

  test('the token gate stands before everything, and sees the path and the token alone', async () => {
    const asked: unknown[] = [];
    let handled = 0;
    const paid: EchoHandlers['paid'] = async (request) => {
      handled++;
      return request;
    };
    const gate = async (...[path, authorization, signal]: Parameters<TokenGate>) => {
      asked.push([path, authorization]);
      expect(signal.aborted).toBe(false);
      if (authorization === '') throw new Failure('TOKEN_REQUIRED', 'this costs a token');
    };
    const client = clientAt(await started({ paid }, { gate }));

    await expect(client.paid(hello)).rejects.toEqual(refused('TOKEN_REQUIRED'));
    expect(handled).toBe(0);
    expect(await client.paid(hello, { token: Uint8Array.of(0xfb, 0xff, 2) })).toEqual(hello);
    expect(await client.open(hello)).toEqual(hello);
    expect(asked).toEqual([
      ['/roost.echo.v1.EchoService/Paid', ''],
      ['/roost.echo.v1.EchoService/Paid', 'PrivateToken token="-_8C"'],
    ]);
  });

  test('methods without a token are limited by address', async () => {
    const keys: string[] = [];
    const take = async (key: string) => {
      keys.push(key);
      return keys.length > 1
        ? ({ ok: false, retryAfterMs: 1_500 } as const)
        : ({ ok: true } as const);
    };
    const client = clientAt(await started({}, { limiter: { take } }));
    await client.open(hello);
    await expect(client.open(hello)).rejects.toMatchObject({
      reason: 'RATE_LIMITED',
      facts: { retryAfterMs: 1_500 },
    });
    expect(keys[0]).toBe(keys[1]);
    expect(keys[0]).not.toContain('127');
  });

  test('without a gate a method that costs a token is closed', async () => {
    const client = clientAt(await started());
    const token = Uint8Array.of(1);
    await expect(client.paid(hello, { token })).rejects.toEqual(refused('TOKEN_REQUIRED'));
  });

  test('a server that is drained ends open calls well and refuses new ones', async () => {
    const entered = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const server = await started({
      open: async (request) => {
        entered.resolve();
        await go.promise;
        return request;
      },
    });
    const client = clientAt(server);
    const call = client.open(hello);
    await entered.promise;
    server.drain();
    await expect(client.open(hello, { deadlineMs: 500 })).rejects.toBeInstanceOf(Failure);
    const closed = server.close(2_000);
    go.resolve();
    expect(await call).toEqual(hello);
    await closed;
  });

  test('a server that closes tells its streams', async () => {
    const server = await started({
      async *follow(request) {
        yield request;
        await new Promise(() => {});
      },
    });
    const follow = async () => {
      for await (const _ of clientAt(server).follow(hello)) void server.close(20);
    };
    await expect(follow()).rejects.toEqual(refused('DRAINING'));
  });
});

test('bytes that are no message of the method are malformed', async () => {
  const server = await started();
  const open = EchoDefinition.methods.open;
  const broken = {
    ...EchoDefinition,
    methods: {
      open: {
        ...open,
        requestType: { ...open.requestType, encode: () => ({ finish: () => Uint8Array.of(0xff) }) },
      },
    },
  };
  const client = clientOf(broken, transports.native(server.address));
  await expect(client.open(hello)).rejects.toEqual(refused('MALFORMED'));
});

test('garbage on the port harms nobody', async () => {
  const server = await started();
  const garbage = [
    'P',
    'PR',
    'PRI',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx',
    '\u0016\u0003\u0001',
    'GET / HTTP/1.1\r\n\r\n',
    'POST /x HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web\r\ncontent-length: 3\r\n\r\nabc',
    '\n'.repeat(70_000),
  ];
  const sockets = garbage.map((bytes) => {
    const socket = connectSocket(server.port, '127.0.0.1', () => socket.write(bytes));
    socket.on('error', () => {});
    return socket;
  });
  await after(100);
  const before = process.cpuUsage();
  await after(200);
  const { user, system } = process.cpuUsage(before);
  expect(user + system).toBeLessThan(100_000);

  for (const socket of sockets) socket.resetAndDestroy();
  await after(20);
  const client = clientOf(EchoDefinition, transports.native(server.address));
  expect(await client.open(hello)).toEqual(hello);
});

test('a browser may call from any origin', async () => {
  const server = await started();
  const url = `http://${server.address}/roost.echo.v1.EchoService/Open`;
  const preflight = await fetch(url, { method: 'OPTIONS' });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
  expect(preflight.headers.get('access-control-allow-headers')).toContain('roost-proof-bin');
  const other = await fetch(url, {
    method: 'POST',
    body: 'x',
    headers: { 'content-type': 'text/plain' },
  });
  expect(other.status).toBe(415);
  expect((await fetch(url)).status).toBe(405);
});

test('a server on a Unix socket serves the operator, and nothing that clients call', async () => {
  const path = `/tmp/roost-rpc-${process.pid}.sock`;
  const server = await started({}, { listen: { path }, callers: 'operator' });
  const client = clientOf(EchoDefinition, transports.native(server.address));
  expect(await client.operator(hello)).toEqual(hello);
  await expect(client.open(hello)).rejects.toEqual(refused('METHOD_UNKNOWN'));
});

test('a server that cannot be reached is unavailable', async () => {
  const server = await started();
  await server.close(0);
  for (const way of [transports.native, transports.web]) {
    const client = clientOf(EchoDefinition, way(server.address));
    await expect(client.open(hello, { deadlineMs: 2_000 })).rejects.toEqual(refused('UNAVAILABLE'));
  }
});

test('who sends the head of a call and then nothing is not waited for', async () => {
  const server = await started({}, { unaryMs: 50 });
  for (const path of ['Open', 'Follow']) {
    const session = connectHttp2(`http://${server.address}`);
    const call = session.request({
      ':method': 'POST',
      ':path': `/roost.echo.v1.EchoService/${path}`,
      'content-type': 'application/grpc',
    });
    const headers = await new Promise<IncomingHttpHeaders>((resolve) => {
      call.on('response', resolve);
    });
    expect(headers['grpc-status']).toBe('4');
    session.destroy();
  }
});

test('a stream outlives the time that a unary call has', async () => {
  const follow: EchoHandlers['follow'] = async function* (request) {
    yield request;
    await after(120);
    yield request;
  };
  const server = await started({ follow }, { unaryMs: 50 });
  const client = clientOf(EchoDefinition, transports.native(server.address));
  let seen = 0;
  for await (const _ of client.follow(hello)) seen++;
  expect(seen).toBe(2);
  const short = async () => {
    for await (const _ of client.follow(hello, { deadlineMs: 60 })) seen++;
  };
  await expect(short()).rejects.toEqual(refused('UNAVAILABLE'));
});

test('behind the edge a call says of which class its token was, and forges nothing where there is a gate', async () => {
  const header = 'roost-token-class';
  const behind = await started();
  const gate = async () => {
    throw new Failure('TOKEN_REQUIRED', 'this costs a token');
  };
  const before = await started({}, { gate });
  const heard = async (server: RunningServer, value: string | undefined) => {
    const response = await fetch(`http://${server.address}/roost.echo.v1.EchoService/Paid`, {
      method: 'POST',
      headers: {
        'content-type': 'application/grpc-web+proto',
        ...(value === undefined ? {} : { [header]: value }),
      },
      body: new Uint8Array(5),
    });
    return /grpc-status: ([0-9]+)/.exec(await response.text())?.[1];
  };
  expect(await heard(behind, 'general')).toBe('0');
  for (const other of [undefined, '', 'contact', 'General', 'general, contact', 'exempt']) {
    expect([other, await heard(behind, other)]).toEqual([other, '16']);
  }
  expect(await heard(before, 'general')).toBe('16');
});
