// The edge lets through what the rule of a method asks for, and nothing else: all methods of the table, over gRPC and
// gRPC-web, through a real Envoy to ports with mutual TLS.
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { assert } from '@roost/core/assert';
import { sleep } from '@roost/core/time';
import { OUTSIDE, RULES, classOf } from '@roost/e2e/samples';
import { Tokens } from '@roost/e2e/tokens';
import { Witness } from '@roost/e2e/witness';
import type { BoundMethod, Incoming, ServiceBinding } from '@roost/rpc/service';
import { Asker, WAYS } from './asking.fixture.ts';
import { BehindEnvoy } from './behind-envoy.fixture.ts';

const INSIDE = RULES.filter(([path]) => !OUTSIDE.some(([outside]) => outside === path));
const COSTLY = OUTSIDE.filter(([, rule]) => classOf(rule) !== undefined);
const FREE = OUTSIDE.filter(([, rule]) => classOf(rule) === undefined);

let world: BehindEnvoy;
let tokens: Tokens;
let asker: Asker;
/** What came through to a service, `service path`. */
let reached: string[] = [];

beforeAll(async () => {
  world = await BehindEnvoy.open({ between: noting });
  {
    await using somebody = await Witness.come(world.door, 'wanda');
    tokens = await Tokens.of(somebody, world.door);
    // Ahead, so that a test sees nothing of it.
    for (const tokenClass of ['general', 'contact', 'general'] as const) {
      await tokens.draw(tokenClass, 100);
    }
  }
  asker = new Asker(world.door);
});
afterAll(async () => {
  asker[Symbol.dispose]();
  await world[Symbol.asyncDispose]();
});
beforeEach(() => {
  reached = [];
});

/** Notes each call that has passed all that is asked for before its request is read. */
function noting(service: string, binding: ServiceBinding): ServiceBinding {
  const methods = [...binding.methods].map(([path, method]): [string, BoundMethod] => {
    const noted = <A extends (call: Incoming) => unknown>(answer: A) =>
      ((call) => {
        if (call.caller === 'edge') reached.push(`${service} ${path}`);
        return answer(call);
      }) as A;
    if (method.kind === 'unary') return [path, { ...method, answer: noted(method.answer) }];
    return [path, { ...method, answer: noted(method.answer) }];
  });
  return { ...binding, methods: new Map(methods) };
}

test('the table holds methods of each kind', () => {
  expect([INSIDE.length, COSTLY.length, FREE.length].every((count) => count >= 5)).toBe(true);
});

test.each(COSTLY)(
  '%s is reached with a token of its class, and with nothing else',
  async (path, rule) => {
    const own = classOf(rule);
    assert(own !== undefined, 'it costs a token');
    const spent = await tokens.take(own);
    const other = await tokens.take(own === 'general' ? 'contact' : 'general');
    for (const way of WAYS) {
      const heard = [];
      for (const authorization of [undefined, '', 'PrivateToken token="AAAA"', other]) {
        const call = authorization === undefined ? { path } : { path, authorization };
        heard.push((await asker.ask(way, call)).said);
      }
      expect(heard).toEqual([
        'TOKEN_REQUIRED',
        'TOKEN_REQUIRED',
        'TOKEN_INVALID',
        'TOKEN_REQUIRED',
      ]);
    }
    expect(reached).toEqual([]);

    await asker.ask('gRPC', { path, authorization: spent });
    for (const way of WAYS.slice(1))
      await asker.ask(way, { path, authorization: await tokens.take(own) });
    expect(reached).toEqual(WAYS.map(() => `${rule.service} ${path}`));
    const again = await asker.all({ path, authorization: spent });
    expect(again.map(({ said }) => said)).toEqual(['TOKEN_SPENT', 'TOKEN_SPENT', 'TOKEN_SPENT']);
    expect(reached.length).toBe(WAYS.length);
  },
);

test.each(FREE)('%s is reached without a token', async (path, rule) => {
  const call = { path, authorization: 'Bearer of nothing' };
  for (const way of WAYS) {
    expect((await asker.ask(way, call)).said).not.toMatch(/^(TOKEN|HTTP|METHOD|code)/);
  }
  expect(reached).toEqual(WAYS.map(() => `${rule.service} ${path}`));
});

test.each(INSIDE)('%s is not there', async (path) => {
  const authorization = await tokens.take('general');
  const heard = [...(await asker.all({ path })), ...(await asker.all({ path, authorization }))];
  const stranger = await asker.all({ path: '/roost.nothing.v1.NothingService/Nothing' });
  expect(heard.map(({ status }) => status)).toEqual(
    [...stranger, ...stranger].map(({ status }) => status),
  );
  expect(new Set(heard.map(({ said }) => said))).toEqual(new Set(['METHOD_UNKNOWN']));
  expect(reached).toEqual([]);
});

/** One that costs a token, and one that does not: what opens the one would charge, and the other not. */
const TRICKED = [COSTLY[0], FREE[0]].map((row) => row?.[0] ?? '');

test.each(TRICKED)('no other way of writing %s is a method', async (path) => {
  const [, service = '', method = ''] = path.split('/');
  const tricks = [
    path.toUpperCase(),
    path.toLowerCase(),
    `/${path}`,
    `/${service}//${method}`,
    `${path}/`,
    `${path}//`,
    `${path}.`,
    `${path};`,
    `${path};version=1`,
    `${path}%20`,
    `${path}%00`,
    `${path}%2f`,
    `${path}?`,
    `${path}?token=none`,
    `${path}#`,
    `${path}#here`,
    `/%72${service.slice(1)}/${method}`,
    `/${service}%2F${method}`,
    `/${service}%5c${method}`,
    `/${service}\\${method}`,
    `/${service}/./${method}`,
    `/${service}/x/../${method}`,
    `/x/..${path}`,
    `/..${path}`,
    `/${service}./${method}`,
    `/${service.replaceAll('.', '/')}/${method}`,
    `https://${world.door.address}${path}`,
    `//${world.door.address}${path}`,
    path.slice(1),
    `*`,
    ``,
  ];
  const authorization = await tokens.take('general');
  for (const trick of tricks) {
    const heard = await asker.all({ path: trick, authorization });
    for (const { said } of heard)
      expect([trick, said]).toEqual([trick, expect.stringMatching(NOWHERE)]);
  }
  expect(reached).toEqual([]);
  // The token is still good: nobody asked for it.
  const [costly = ''] = TRICKED;
  await asker.ask('gRPC', { path: costly, authorization });
  expect(reached.map((each) => each.split(' ')[1])).toEqual([costly]);
});

test('what no client would write reaches nobody', async () => {
  const [free = ''] = TRICKED.slice(1);
  const [costly = ''] = TRICKED;
  const [first, second] = [await tokens.take('general'), await tokens.take('general')];
  const wire = async (...lines: string[]) => {
    const head = [...lines, 'host: x', 'content-type: application/grpc-web', 'content-length: 5'];
    return await sent(`${head.join('\r\n')}\r\n\r\n\0\0\0\0\0`);
  };
  expect(await wire(`POST ${free} HTTP/1.1`)).toMatch(/^HTTP\/1\.1 200 /);
  const own = reached.splice(0);
  expect(own).toHaveLength(1);
  for (const line of [
    ...[`POST ${free}\0 HTTP/1.1`, `POST ${free}\0x HTTP/1.1`, `POST \0${free} HTTP/1.1`],
    ...[`POST ${free} HTTP/1.0`, `POST  HTTP/1.1`, `POST ${free}`],
    ...[`post ${free} HTTP/1.1`, `PUT ${free} HTTP/1.1`, `CONNECT ${free} HTTP/1.1`],
  ]) {
    expect([line, await wire(line)]).toEqual([
      line,
      expect.not.stringMatching(/^HTTP.*grpc-status: 0/s),
    ]);
  }
  expect(await wire(`POST ${free} HTTP/1.1`, 'roost_token_class: general')).toMatch(
    / 400 |grpc-status: 3/,
  );
  const twice = [`authorization: ${first}`, `authorization: ${second}`];
  expect(await wire(`POST ${costly} HTTP/1.1`, ...twice)).toMatch(/grpc-status: 16/);
  const split = [`authorization: ${first}`, ' folded: yes'];
  expect(await wire(`POST ${costly} HTTP/1.1`, ...split)).not.toMatch(
    /^HTTP\/1\.1 200 (?!.*grpc-status: 16)/s,
  );
  const both = ['transfer-encoding: chunked', `authorization: ${first}`];
  expect(await wire(`POST ${costly} HTTP/1.1`, ...both)).toMatch(/ 400 |^$/);
  expect(reached).toEqual([]);
});

/** Bytes as they are, and what comes back until it is quiet. */
async function sent(bytes: string): Promise<string> {
  const { address, ca } = world.door;
  const [host = '', port] = address.split(':');
  const socket = connect({ host, port: Number(port), ca, ALPNProtocols: ['http/1.1'] });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  socket.once('secureConnect', () => socket.write(bytes, 'latin1'));
  const over = new Promise((resolve) => socket.once('close', resolve));
  for (let tries = 0; tries < 40 && chunks.length === 0 && !socket.destroyed; tries++) {
    await Promise.race([over, sleep(50)]);
  }
  socket.destroy();
  return Buffer.concat(chunks).toString('latin1');
}

/** HTTP itself refuses a target that is none, and Node's client some before. */
const NOWHERE = /^(METHOD_UNKNOWN|MALFORMED|HTTP 4\d\d|HTTP nothing)$/;
