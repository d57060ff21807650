// What is sent to a homeserver by another one that means harm, or by nobody in particular: torn, too long, slowly, much.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MINUTE_MS, SECOND_MS, sleep } from '@roost/core/time';
import { FindUserRequest } from '@roost/proto/roost/authentication/v1/authentication';
import { makeCertificate } from './certificates.fixture.ts';
import { startCounting } from './counted.fixture.ts';
import { heard, Hostile, Line } from './hostile.fixture.ts';
import { freePort, House } from './house.fixture.ts';
import { sealed } from './spoofs.ts';
import { WAYS } from './ways.ts';

const ENVELOPES = 'roost_federation_envelopes_total';
const B = 'b.example';
const [way] = WAYS.filter(({ kind }) => kind === 'group');
const stack = new AsyncDisposableStack();
const own = makeCertificate({ commonName: B, names: `DNS:${B}` });
let counting: ReturnType<typeof startCounting>;
let b: House;
let good: Hostile;
let calm: Hostile;
let line: Line;

beforeAll(async () => {
  counting = stack.use(startCounting());
  const wellKnownPort = await freePort('127.0.0.2');
  const at = (domain: string, address: string) => ({ domain, address, wellKnownPort });
  good = stack.use(await Hostile.open(at('good.example', '127.0.0.2')));
  calm = stack.use(await Hostile.open(at('calm.example', '127.0.0.6')));
  const names = new Map([
    ['good.example', ['127.0.0.2']],
    ['calm.example', ['127.0.0.6']],
  ]);
  const ca = [good, calm].map(({ certificate }) => certificate.cert);
  b = stack.use(await House.open({ ...at(B, '127.0.0.3'), names, ca, certificate: own }));
  for (const { domain } of [good, calm]) await b.list(domain, 'allowed');
  line = stack.use(new Line(b, { ca: own.cert, claims: 'good.example' }));
});
afterAll(async () => await stack.disposeAsync());

const said = (source: string) => {
  if (way === undefined) throw new Error('there is a way to deliver');
  return sealed(way.say({ source, destination: B }), good.keys.current);
};

test('what is no envelope, or too long, is refused before anything is looked at', async () => {
  const { envelope, payload } = said('good.example');
  const [call] = WAYS;
  if (call === undefined) throw new Error('there is a way to call');
  const before = await b.dump();
  const wrong: [envelope: Uint8Array, payload: Uint8Array][] = [
    [new Uint8Array(0), payload],
    [new Uint8Array(64).fill(0xff), payload],
    [new Uint8Array(4_096).fill(1), payload],
    [envelope.subarray(0, -1), payload],
    [Uint8Array.of(...envelope, 0), payload],
    // A length of nearly a gigabyte, and none behind it.
    [Uint8Array.of(0xbf, 0xff, 0xff, 0xff), payload],
  ];
  const counted = await counting.during(ENVELOPES, async () => {
    for (const [each, goes] of wrong) expect(await line.call(each, goes)).toBe('BAD_ENVELOPE');
  });
  expect(counted).toEqual({ 'kind="call",outcome="BAD_ENVELOPE form"': wrong.length });
  const long = new Uint8Array(5 * 2 ** 20);
  expect(await line.call(envelope, long)).toBe('TOO_LARGE');
  expect(await heard(line.deliver({ envelope, payload: long }))).toBe('TOO_LARGE');
  const one = { envelope, payload };
  expect(await heard(line.deliver(...Array.from({ length: 65 }, () => one)))).toBe('MALFORMED');
  expect(await b.dump()).toEqual(before);
});

test('whom our own users name is a name, or nobody is asked', async () => {
  const looked = b.looked.length;
  for (const destination of STRANGE_NAMES) {
    const request = FindUserRequest.encode({ userName: `bob@${destination}` }).finish();
    const method = '/roost.authentication.v1.AuthenticationService/FindUser';
    const call = { destination, method, request, proof: new Uint8Array(0) };
    expect([destination, await heard(b.forward(call))]).toEqual([destination, 'MALFORMED']);
  }
  expect(b.looked).toHaveLength(looked);
});

const STRANGE_NAMES = [
  ...['Good.example', 'good.example.', 'gööd.example', 'good.example:443', 'localhost'],
  ...['127.0.0.1', '[::1]', '2130706433', '0x7f.1', 'good', '.example', 'good..example'],
  ...['good.example/../other', 'good.example#', '-good.example', 'ab--cd.example', ''],
];

/** What happens to a connection that does nothing, or next to nothing. */
async function untilClosed(socket: Socket): Promise<'closed'> {
  socket.on('error', () => undefined);
  socket.resume();
  await once(socket, 'close');
  return 'closed';
}

/** A request of which a byte comes now and then. */
async function drip(): Promise<'closed'> {
  const session = connectHttp2(`https://${b.address}:${b.port}`, {
    ...{ ca: own.cert, servername: B, checkServerIdentity: () => undefined },
  });
  session.on('error', () => undefined);
  const stream = session.request({
    ...{ ':method': 'POST', ':path': way?.method ?? '', 'content-type': 'application/grpc' },
  });
  stream.on('error', () => undefined);
  stream.resume();
  const timer = setInterval(() => void (stream.closed || stream.write(Buffer.alloc(1))), SECOND_MS);
  await once(stream, 'close');
  clearInterval(timer);
  session.destroy();
  return 'closed';
}

test(
  'who says nothing, half of something, or a byte now and then is not waited for, and nobody waits behind it',
  async () => {
    const at = { host: b.address, port: b.port };
    const silent = Array.from({ length: 50 }, async () => await untilClosed(connectTcp(at)));
    // After the handshake a ping that is not answered ends it, in a minute or two: nobody waits for that either.
    const halfway = Array.from({ length: 10 }, () => {
      const tls = { ...at, ca: own.cert, ALPNProtocols: ['h2'], servername: B };
      const socket = connectTls({ ...tls, checkServerIdentity: () => undefined });
      return socket.on('error', () => undefined);
    });
    const slow = Array.from({ length: 70 }, drip);
    expect(await line.deliver(said('good.example'))).toEqual([
      expect.not.stringMatching(/UNAVAIL|LIMITED/),
    ]);
    expect(new Set(await Promise.all([...silent, ...slow]))).toEqual(new Set(['closed']));
    for (const socket of halfway) socket.destroy();
  },
  4 * MINUTE_MS,
);

test('TLS 1.2 is not spoken with anybody', async () => {
  const socket = connectTls({
    ...{ host: b.address, port: b.port, ca: own.cert, servername: B, maxVersion: 'TLSv1.2' },
  });
  await expect(once(socket, 'secureConnect')).rejects.toThrow(/protocol version|alert/);
});

test('a flood of one homeserver is refused as far as it is one, and the others go on', async () => {
  using calmLine = new Line(b, { ca: own.cert, claims: 'calm.example' });
  const [ask] = WAYS;
  if (ask === undefined) throw new Error('there is a way to call');
  const call = async (from: Line, { domain, keys }: Hostile) => {
    const each = sealed(ask.say({ source: domain, destination: B }), keys.current);
    return await from.call(each.envelope, each.payload);
  };
  expect(await call(calmLine, calm)).toBe('answered');
  const heardBy = { flood: new Array<string>(), calm: new Array<string>() };
  const begun = Date.now();
  const rows = await recorded();
  const over = new AbortController();
  // More at once than may be under way: however slow this machine is, some of them are too many.
  const flood = Promise.all(
    Array.from({ length: 400 }, async () => heardBy.flood.push(await call(line, good))),
  ).finally(() => over.abort());
  while (!over.signal.aborted) {
    heardBy.calm.push(await call(calmLine, calm));
    await sleep(50);
  }
  await flood;
  const seconds = (Date.now() - begun) / SECOND_MS;
  expect(new Set(heardBy.calm)).toEqual(new Set(['answered']));
  expect(new Set(heardBy.flood)).toEqual(new Set(['answered', 'RATE_LIMITED']));
  const answered = heardBy.flood.filter((each) => each === 'answered').length;
  // As many as its bucket holds, and what came back into it meanwhile.
  expect(answered).toBeLessThanOrEqual(200 + 20 * (seconds + 1));
  // Of what was refused there is no record.
  expect((await recorded()) - rows).toBe(answered + heardBy.calm.length);
});

async function recorded(): Promise<number> {
  const rows = (await b.dump()).get('federation.audit') ?? '';
  return rows.split('\n').length;
}
