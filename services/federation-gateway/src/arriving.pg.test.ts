// What comes to B's listener before it is read: who says that it is whom, what it shows, and how much of it.
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Domain } from '@roost/core/ids';
import { MINUTE_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { FindUserRequest } from '@roost/proto/roost/authentication/v1/authentication';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf, connectHomeserver } from '@roost/rpc/client';
import { localTransport } from '@roost/rpc/local';
import { TestClock } from '@roost/testing/clock';

import { CROWD_LIMITS } from './crowd.ts';
import { type Certificate, makeCertificate } from './discovery/certificates.fixture.ts';
import {
  certificateOf,
  freePort,
  type HomeOptions,
  HOMES,
  openHome,
} from './homeserver.fixture.ts';
import { signCall } from './signing.ts';
import { putListing } from './store/policy.ts';

const [A, B, C] = HOMES as [Domain, Domain, Domain];
type Home = Awaited<ReturnType<typeof openHome>>;
let opened: AsyncDisposableStack;
let clock: TestClock;
let port: number;
beforeEach(async () => {
  opened = new AsyncDisposableStack();
  // Certificates are made in the time of this machine, some of them a moment from now.
  clock = new TestClock(Date.now() + MINUTE_MS);
  port = await freePort('127.0.0.2');
});
afterEach(async () => await opened.disposeAsync());

async function home(domain: Domain, options: HomeOptions = {}, ...friends: Domain[]) {
  const made = opened.use(await openHome(domain, clock, port, options));
  for (const friend of friends) {
    await putListing(made.database, {
      ...{ domain: friend, kind: 'allowed' as const, endpoint: '', note: '', sinceMs: 0 },
    });
  }
  return made;
}

/** A service of one asks the other for a user. */
async function ask({ gateway }: Home): Promise<string> {
  const transport = localTransport(gateway.bindings, 'as');
  const request = FindUserRequest.encode({ userName: 'bob@b.example' }).finish();
  const method = '/roost.authentication.v1.AuthenticationService/FindUser';
  try {
    await clientOf(FederationInternalServiceDefinition, transport).forward({
      ...{ destination: B, method, request, proof: new Uint8Array(0) },
    });
    return 'answered';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const own = (domain: Domain): Certificate => makeCertificate('client', `DNS:${domain}`);

test('where both ask for certificates, a call gets through by the pins of the directories', async () => {
  const b = await home(B, { mtls: 'required', shown: own(B) }, A);
  const a = await home(A, { mtls: 'required', shown: own(A) }, B);
  expect(await ask(a)).toBe('answered');
  expect(b.reached).toHaveLength(1);
});

test('without one, with that of another or with one that nobody published, nothing is read', async () => {
  const b = await home(B, { mtls: 'required', shown: own(B) }, A);
  const preferring = { mtls: 'preferred' } as const;
  for (const options of [preferring, { ...preferring, shown: own(C) }]) {
    await using a = await openHome(A, clock, port, options);
    await putListing(a.database, {
      ...{ domain: B, kind: 'allowed' as const, endpoint: '', note: '', sinceMs: 0 },
    });
    // What is wrong with us is our operator's business, and not the client's.
    expect(await ask(a)).toBe('b.example could not answer');
  }
  expect(b.reached).toHaveLength(0);
  expect(b.state.looked).toBe(0);
});

test('where one is preferred, that of another is refused, and none at all is not missed', async () => {
  const b = await home(B, { mtls: 'preferred' }, A);
  const wrong = await home(A, { shown: own(C) }, B);
  expect(await ask(wrong)).toBe('b.example could not answer');
  expect(b.reached).toHaveLength(0);
});

test('one that names its domain, but that nobody published, is not enough where one is required', async () => {
  const shown = own(A);
  const b = await home(B, { mtls: 'required', shown: own(B) }, A);
  const a = await home(A, { shown }, B);
  const call = async (certificate: Certificate): Promise<void> => {
    using channel = connectHomeserver({
      ...{ addresses: [`127.0.0.3:${b.listener.port}`], domain: B, certificate },
      ca: certificateOf(B).cert,
    });
    const request = FindUserRequest.encode({ userName: 'bob@b.example' }).finish();
    const method = '/roost.authentication.v1.AuthenticationService/FindUser';
    const order = { destination: B, method, request, proof: new Uint8Array(0) };
    const signed = signCall({ home: A, crypto, clock, keys: a.gateway.keys }, order);
    await clientOf(PeerServiceDefinition, {
      unary: async (outgoing) => await channel.unary({ ...outgoing, source: A }),
      async *stream() {},
    }).call(signed);
  };
  await expect(call(own(A))).rejects.toMatchObject({ reason: 'BAD_ENVELOPE' });
  expect(b.reached).toHaveLength(0);
  await call(shown);
  expect(b.reached).toHaveLength(1);
});

/** A connection to B's listener, of anybody. */
function connectTo({ listener }: Home): ClientHttp2Session {
  const session = connect(`https://127.0.0.3:${listener.port}`, {
    ...{ servername: B, ca: certificateOf(B).cert },
  });
  session.on('error', () => undefined);
  opened.defer(() => session.destroy());
  return session;
}

/** A delivery of which nothing but the headers ever comes. */
function halfOpen(session: ClientHttp2Session, source: string): ClientHttp2Stream {
  const stream = session.request({
    ...{ ':method': 'POST', ':path': '/roost.federation.v1.PeerService/Deliver' },
    ...{ 'content-type': 'application/grpc', 'roost-source': source },
  });
  return stream.on('error', () => undefined);
}

test('who is not let in hears so before it has sent anything', async () => {
  const session = connectTo(await home(B, {}, A));
  const [headers] = (await once(halfOpen(session, C), 'response')) as [object];
  expect(headers).toMatchObject({ 'grpc-status': '7' });
});

test('a source that fills its share with calls that it never ends waits behind itself alone', async () => {
  const b = await home(B, {}, A, C);
  const a = await home(A, {}, B);
  const session = connectTo(b);
  const most = CROWD_LIMITS.each + CROWD_LIMITS.waitingEach;
  const refused: unknown[] = [];
  for (let n = 0; n < most; n++) {
    halfOpen(session, C).on('response', (headers) => refused.push(headers['grpc-status']));
  }
  const [headers] = (await once(halfOpen(session, C), 'response')) as [object];
  expect(headers).toMatchObject({ 'grpc-status': '8' });
  const answers = await Promise.all(Array.from({ length: 20 }, async () => await ask(a)));
  expect(new Set(answers)).toEqual(new Set(['answered']));
  // What waits too long, or comes too slowly, is ended; never with an answer.
  expect(refused.filter((status) => status !== '8' && status !== '4')).toEqual([]);
});

test('a call in the name of another than the one that signed it is refused', async () => {
  const b = await home(B, {}, A, C);
  const a = await home(A, {}, B);
  const peer = clientOf(PeerServiceDefinition, localTransport(b.gateway.bindings, 'peer'));
  const request = FindUserRequest.encode({ userName: 'bob@b.example' }).finish();
  const method = '/roost.authentication.v1.AuthenticationService/FindUser';
  const order = { destination: B, method, request, proof: new Uint8Array(0) };
  const signed = signCall({ home: A, crypto, clock, keys: a.gateway.keys }, order);
  const inNameOf = (source: Domain) =>
    clientOf(PeerServiceDefinition, {
      unary: async (call) =>
        await localTransport(b.gateway.bindings, 'peer').unary({ ...call, source }),
      async *stream() {},
    }).call(signed);
  await expect(inNameOf(C)).rejects.toMatchObject({ reason: 'BAD_ENVELOPE' });
  expect(b.reached).toHaveLength(0);
  await inNameOf(A);
  await peer.call(signed);
  expect(b.reached).toHaveLength(2);
});
