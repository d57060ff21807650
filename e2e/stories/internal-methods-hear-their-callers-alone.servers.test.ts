// Invariant 5 inside: who a caller is stands in its certificate. Whoever goes past the edge, to the port of a service,
// is told nothing unless the rule of the method names it.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CheckTokenRequest } from '@roost/proto/roost/tokens/v1/tokens';
import { frame, statusIn } from '@roost/rpc/frames';
import { errorOf } from '@roost/rpc/status';
import { Failure } from '@roost/core/failure';
import { makeCertificates } from '@roost/e2e/servers/certificates';
import { SERVICES, type Service } from '@roost/e2e/servers/environment';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { GATEWAY } from '@roost/e2e/servers/gateway';
import { Homeserver } from '@roost/e2e/servers/homeserver';

/** Of a process with a port of its own. */
type Name = Service | typeof GATEWAY;

interface Rule {
  readonly caller: string;
  readonly services: readonly string[];
  readonly service: Name;
  readonly federated?: boolean;
}

const RULES: Readonly<Record<string, Rule>> = JSON.parse(
  readFileSync(new URL('../../proto/gen/rules.json', import.meta.url), 'utf8'),
);
const NAMES: readonly Name[] = [...SERVICES, GATEWAY];
const PEERS = [...NAMES, 'edge', 'peer', 'gate', 'operator'];
const CHECK = '/roost.tokens.v1.TokenInternalService/CheckToken';
/** The one method that says of another that it is not there. */
const CHECK_REQUEST = CheckTokenRequest.encode({
  path: '/roost.queue.v1.QueueService/Ack',
  authorization: '',
}).finish();
const folder = mkdtempSync(join(tmpdir(), 'roost-peers-'));

let neighbourhood: Neighbourhood;
let world: Homeserver;
beforeAll(async () => {
  neighbourhood = await Neighbourhood.open(['home.example']);
  world = await Homeserver.open({ replicas: 1, neighbourhood });
  await makeCertificates('home.example', join(folder, 'another-authority'));
  await makeCertificates('other.example', join(folder, 'another-domain'));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  neighbourhood[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

/** What a call without token and proof to a service's own port is told; `nothing` where the connection fails. */
async function ask(service: Name, path: string, certificate?: string): Promise<string> {
  const session = connectHttp2(`https://${world.process(`${service}-1`).address}`, {
    ca: readFileSync(join(world.certificates, 'ca.crt')),
    // The name in it is that of the service and not of the host; it is the server that is asked here.
    checkServerIdentity: () => undefined,
    ...(certificate === undefined
      ? {}
      : { cert: readFileSync(`${certificate}.crt`), key: readFileSync(`${certificate}.key`) }),
  });
  session.on('error', () => undefined);
  const closed = once(session, 'close').catch(() => undefined);
  const stream = session.request({
    ...{ ':method': 'POST', ':path': path, te: 'trailers', 'content-type': 'application/grpc' },
  });
  stream.on('error', () => undefined);
  const heard = new Map<string, string>();
  const keep = (headers: Readonly<Record<string, unknown>>): void => {
    for (const [name, value] of Object.entries(headers)) {
      if (typeof value === 'string') heard.set(name, value);
    }
  };
  stream.on('response', keep);
  stream.on('trailers', keep);
  stream.resume();
  stream.end(frame(path === CHECK ? CHECK_REQUEST : new Uint8Array(0)));
  // A Listen that was let in would stay.
  await Promise.race([once(stream, 'close').catch(() => undefined), closed]);
  session.destroy();
  const status = statusIn((name) => heard.get(name));
  if (status === undefined) return 'nothing';
  const failure = status.code === 0 ? undefined : errorOf(status);
  return failure instanceof Failure ? failure.reason : `code ${status.code}`;
}

function mayCall(peer: string, { caller, services, federated }: Rule): boolean {
  if (caller === 'CALLER_SERVICE') return services.includes(peer);
  // What the users of others ask, the gateway brings.
  if (peer === GATEWAY) return federated === true;
  return peer === (OUTSIDE[caller] ?? 'edge');
}

const OUTSIDE: Readonly<Record<string, string>> = {
  ...{ CALLER_OPERATOR: 'operator', CALLER_PEER: 'peer' },
};

test.each(PEERS)(
  '%s is heard by the methods whose rule names it, and by no other',
  async (peer) => {
    const wrong: string[] = [];
    for (const [path, rule] of Object.entries(RULES)) {
      const said = await ask(rule.service, path, join(world.certificates, peer));
      const isHeard = said !== 'METHOD_UNKNOWN';
      if (isHeard !== mayCall(peer, rule) || said === 'nothing') wrong.push(`${path}: ${said}`);
    }
    expect(wrong).toEqual([]);
  },
);

test.each(NAMES)('%s breaks off with whom its own authority has not signed', async (service) => {
  const path = Object.keys(RULES).find((each) => RULES[each]?.service === service) ?? '';
  const strangers = [
    undefined,
    join(folder, 'another-authority', 'edge'),
    join(folder, 'another-domain', 'edge'),
  ];
  for (const stranger of strangers) {
    expect([stranger, await ask(service, path, stranger)]).toEqual([stranger, 'nothing']);
  }
  expect(await ask(service, path, join(world.certificates, 'edge'))).not.toBe('nothing');
});

test('no method of another service is there at a port', async () => {
  const wrong: string[] = [];
  for (const [path, rule] of Object.entries(RULES)) {
    for (const service of NAMES.filter((each) => each !== rule.service)) {
      const peer = rule.services[0] ?? 'edge';
      const said = await ask(service, path, join(world.certificates, peer));
      if (said !== 'METHOD_UNKNOWN') wrong.push(`${service} ${path}: ${said}`);
    }
  }
  expect(wrong).toEqual([]);
});
