// The federation gateway as an operator runs it: before anybody else of the homeserver is there.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toHex } from '@roost/core/bytes';
import { parseDomain } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { parseDirectory, readDirectory } from '@roost/federation/directory';
import { certificatesOf } from '@roost/e2e/servers/certificates';
import { sharedAddresses } from '@roost/e2e/servers/ground';
import { type Environment, runProgram, ServiceProcess } from '@roost/e2e/servers/processes';
import { Run } from '@roost/e2e/servers/run';
import { assert } from '@roost/core/assert';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';

const DOMAIN = parseDomain('gateway.example');
const MAIN = 'services/federation-gateway/src/main.ts';
const PAGE = '/.well-known/roost-federation';
let database: FreshDatabase;
let env: Environment;
let gateway: ServiceProcess;

beforeAll(async () => {
  const [run, { postgres, nats }] = [Run.current(), sharedAddresses()];
  const [folder, logs] = [run.makeFolder('gateway'), run.makeFolder('gateway', 'logs')];
  const secrets = join(folder, 'secrets');
  mkdirSync(secrets, { mode: 0o700 });
  for (const purpose of ['federation', 'transport']) {
    writeFileSync(join(secrets, purpose), toHex(crypto.random(32)));
  }
  const certificates = await certificatesOf(DOMAIN);
  const take = async (): Promise<string> => `127.0.0.1:${await run.takePort()}`;
  const [address, healthAddress, directoryAddress] = [await take(), await take(), await take()];
  database = await freshDatabase(undefined, { owner: 'roost_gateway', server: postgres });
  assert('url' in database.owner, 'PostgreSQL is reached over TCP');
  env = {
    ROOST_DOMAIN: DOMAIN,
    ROOST_LISTEN: address,
    ROOST_HEALTH_LISTEN: healthAddress,
    ROOST_DIRECTORY_LISTEN: directoryAddress,
    ROOST_TLS_CERT: join(certificates, 'federation-gateway.crt'),
    ROOST_TLS_KEY: join(certificates, 'federation-gateway.key'),
    ROOST_TLS_CA: join(certificates, 'ca.crt'),
    ROOST_DATABASE_URL: database.owner.url,
    ROOST_NATS_SERVERS: nats.servers.join(','),
    ROOST_NATS_USER: 'federation-gateway',
    ROOST_NATS_PASSWORD: nats.passwords['federation-gateway'],
    ROOST_NATS_PREFIX: `t${toHex(crypto.random(6))}`,
    ROOST_SECRETS: secrets,
    ROOST_DRAIN_MS: '7000',
    ROOST_FEDERATION_ENDPOINT: `federation.${DOMAIN}:8443`,
    // Nobody is there.
    ...{ ROOST_AS_ADDRESS: '127.0.0.1:1', ROOST_AAS_ADDRESS: '127.0.0.1:1' },
    ...{ ROOST_QS_ADDRESS: '127.0.0.1:1', ROOST_DS_ADDRESS: '127.0.0.1:1' },
  };
  gateway = new ServiceProcess({
    ...{ name: 'federation-gateway-1', main: MAIN, env, address, healthAddress, logs },
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

async function directory(init: RequestInit = {}, path = PAGE): Promise<Response> {
  return await fetch(`http://${env['ROOST_DIRECTORY_LISTEN']}${path}`, {
    ...{ ...init, headers: { connection: 'close' } },
  });
}

test('it does not serve on a database that is not there yet, nor with half of what it is told', async () => {
  const early = await runProgram(MAIN, ['serve'], env);
  expect(early).toEqual({ status: 1, output: expect.stringContaining('run "migrate" first') });
  expect((await runProgram(MAIN, ['migrate'], env)).status).toBe(0);
  const half = { ...env, ROOST_FEDERATION_MTLS: 'required' };
  const told = expect.stringContaining('give ROOST_FEDERATION_CERT and ROOST_FEDERATION_KEY');
  expect(await runProgram(MAIN, ['serve'], half)).toEqual({ status: 1, output: told });
});

test('check says a sentence for each that does not answer', async () => {
  const { status, output } = await runProgram(MAIN, ['check'], env);
  expect(status).toBe(1);
  for (const name of ['as', 'aas', 'qs', 'ds']) {
    expect(output).toMatch(new RegExp(`^${name} does not answer`, 'm'));
  }
  expect(output).not.toMatch(/^nats/m);
});

test('it is ready without the others, publishes a directory of its own, and ends well', async () => {
  await gateway.start();
  const { status, body } = await gateway.readiness();
  expect([status, body]).toEqual([200, expect.stringContaining('away: qs')]);

  const page = await directory();
  const text = new Uint8Array(await page.arrayBuffer());
  const { directory: read } = readDirectory(crypto, parseDirectory(text));
  expect(read).toMatchObject({ domain: DOMAIN, endpoint: { host: `federation.${DOMAIN}` } });
  expect((await gateway.ask('/metrics')).body).toMatch(
    /roost_federation_envelopes_total\{[^}]*outcome="BAD_ENVELOPE signature"[^}]*\} 0/,
  );

  const stopping = gateway.stop();
  let said = await gateway.readiness();
  while (said.status === 200) said = await gateway.readiness();
  expect(said.status).toBe(503);
  // Whoever has not heard yet is still told who we are.
  expect((await directory()).status).toBe(200);
  expect(await stopping).toBe(0);
});
