// What another homeserver shows to a real Envoy is what the gateway judges; nobody shows it in words.
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { certificatesOf } from '@roost/e2e/servers/certificates';
import { fetchServer } from '@roost/e2e/servers/fetch';
import { Launched } from '@roost/e2e/servers/launch';
import { runProgram } from '@roost/e2e/servers/processes';
import { Run } from '@roost/e2e/servers/run';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf, connectHomeserver } from '@roost/rpc/client';
import { serve } from '@roost/rpc/server';
import { bind, type CallContext } from '@roost/rpc/service';
import { createLog } from '@roost/service/log';

import { type Certificate, makeCertificate } from '../federation/certificates.fixture.ts';

const DOMAIN = parseDomain('home.example');
const door = makeCertificate({ commonName: DOMAIN, names: `DNS:${DOMAIN}` });
const shown = makeCertificate({ commonName: 'x', names: 'DNS:a.example' });
const opened = new AsyncDisposableStack();
/** What the gateway was told, call by call. */
const heard: Pick<CallContext, 'source' | 'certificate'>[] = [];
let address: string;

beforeAll(async () => {
  const [run, certificates] = [Run.current(), await certificatesOf(DOMAIN)];
  const folder = run.makeFolder('shown');
  const at = (name: string): string => join(certificates, name);
  const [cert, key] = [join(folder, 'door.crt'), join(folder, 'door.key')];
  writeFileSync(cert, door.cert);
  writeFileSync(key, door.key);
  const gateway = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    tls: {
      cert: readFileSync(at('federation-gateway.crt'), 'utf8'),
      key: readFileSync(at('federation-gateway.key'), 'utf8'),
      ca: readFileSync(at('ca.crt'), 'utf8'),
    },
    callers: { certifiedBy: DOMAIN },
    bindings: [
      bind(
        PeerServiceDefinition,
        {
          async call(_, context) {
            heard.push(context);
            return { response: new Uint8Array(0) };
          },
          deliver: async () => ({ results: [] }),
        },
        { audience: DOMAIN, clock: systemClock, crypto },
      ),
    ],
    log: createLog('federation-gateway', 'silent'),
  });
  opened.use(gateway);
  const take = async (): Promise<string> => `127.0.0.1:${await run.takePort()}`;
  address = await take();
  const admin = await take();
  const { status, output } = await runProgram(
    'services/edge/src/main.ts',
    ['print', 'federation'],
    {
      ...{ ROOST_DOMAIN: DOMAIN, ROOST_FEDERATION_LISTEN: address, ROOST_ADMIN_LISTEN: admin },
      ...{ ROOST_FEDERATION_CERT: cert, ROOST_FEDERATION_KEY: key, ROOST_TLS_CA: at('ca.crt') },
      ...{ ROOST_PEER_CERT: at('peer.crt'), ROOST_PEER_KEY: at('peer.key') },
      ...{ ROOST_GATEWAY_ADDRESS: gateway.address, ROOST_DIRECTORY_ADDRESS: await take() },
      ROOST_HEALTH_LISTEN: await take(),
    },
  );
  expect([status, status === 0 ? '' : output]).toEqual([0, '']);
  const config = join(folder, 'envoy.json');
  writeFileSync(config, output);
  const { path: command } = await fetchServer('envoy');
  const args = ['--config-path', config, '--log-level', 'warning', '--concurrency', '1'];
  const envoy = await Launched.start({
    ...{ name: 'envoy', command, args: [...args, '--disable-hot-restart'], logs: folder },
  });
  opened.defer(async () => await envoy.kill());
  await envoy.until('ready', async () => {
    const answer = await fetch(`http://${admin}/ready`).catch(() => undefined);
    return answer?.status === 200 || undefined;
  });
}, 120_000);
afterAll(async () => await opened.disposeAsync());
beforeEach(() => void heard.splice(0));

async function ask(certificate?: Certificate): Promise<void> {
  using channel = connectHomeserver({
    ...{ addresses: [address], domain: DOMAIN, ca: door.cert, certificate },
  });
  const empty = { envelope: new Uint8Array(0), payload: new Uint8Array(0) };
  await clientOf(PeerServiceDefinition, channel).call(empty);
}

/** A call with headers of the caller's own. */
async function askSaying(headers: Readonly<Record<string, string>>): Promise<void> {
  const session = connectHttp2(`https://${address}`, { ca: door.cert, servername: DOMAIN });
  try {
    const stream = session.request({
      ...{ ':method': 'POST', ':path': '/roost.federation.v1.PeerService/Call', te: 'trailers' },
      ...{ 'content-type': 'application/grpc', ...headers },
    });
    stream.end(new Uint8Array(5)).resume();
    await new Promise((resolve, reject) => {
      stream.once('close', resolve).once('error', reject);
    });
  } finally {
    session.destroy();
  }
}

test('a certificate that no authority signed gets to the gateway as it was shown', async () => {
  await ask(shown);
  expect(heard.map(({ certificate }) => certificate?.toString())).toEqual([shown.cert]);
});

test('where none is shown, none gets there, whatever is said', async () => {
  await ask();
  await askSaying({ 'x-forwarded-client-cert': `Cert="${encodeURIComponent(shown.cert)}"` });
  expect(heard.map(({ certificate }) => certificate)).toEqual([undefined, undefined]);
});

test('whose call it says that it is gets there', async () => {
  await askSaying({ 'roost-source': 'a.example' });
  expect(heard).toMatchObject([{ source: 'a.example' }]);
});
