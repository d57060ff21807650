import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { prepareFederation, readFederationConfig } from './federation.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roost-federation-'));
  for (const domain of ['a.example', 'b.example']) {
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const subject = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:${domain}`];
    const { cert, key } = filesOf(domain);
    execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...subject], {
      stdio: 'ignore',
    });
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

function filesOf(domain: string) {
  return { cert: join(folder, `${domain}.crt`), key: join(folder, `${domain}.key`) };
}

const given = {
  ROOST_FEDERATION_LISTEN: '127.0.0.1:8443',
  ROOST_FEDERATION_ENDPOINT: 'a.example:8443',
};

function read(more: Record<string, string> = {}) {
  const config = readFederationConfig({ ...given, ...more });
  if (config === undefined) throw new Error('it is switched on');
  return config;
}

test('other homeservers are met only where the environment says where they come in', () => {
  expect(readFederationConfig({})).toBeUndefined();
  expect(readFederationConfig({ ...given, ROOST_FEDERATION_LISTEN: '' })).toBeUndefined();
  expect(read().listen).toEqual({ host: '127.0.0.1', port: 8443 });
  expect(() => readFederationConfig({ ROOST_FEDERATION_LISTEN: 'x' })).toThrow(
    /^ROOST_FEDERATION_LISTEN is wrong: .*\nROOST_FEDERATION_ENDPOINT is not set: /,
  );
});

test('they are shown the certificate of the home domain: an own one, else that of the clients', async () => {
  const { cert, key } = filesOf('a.example');
  const [home, own] = [
    parseDomain('a.example'),
    { ROOST_FEDERATION_CERT: cert, ROOST_FEDERATION_KEY: key },
  ];
  const { tls } = await prepareFederation(read(own), home, filesOf('b.example'));
  expect((await prepareFederation(read(), home, { cert, key })).tls).toEqual(tls);
  await expect(prepareFederation(read(), home, undefined)).rejects.toThrow(
    'other homeservers believe a certificate for a.example alone: give it by ROOST_FEDERATION_CERT',
  );
  await expect(prepareFederation(read(), home, filesOf('b.example'))).rejects.toThrow(
    /is not for a\.example, so no other homeserver would believe it: .*DNS:a\.example/,
  );
});

test('a domain that nobody else can find meets nobody', async () => {
  const home = parseDomain('localhost');
  await expect(prepareFederation(read(), home, filesOf('a.example'))).rejects.toThrow(
    /^no other homeserver can find localhost \(.*\): leave out ROOST_FEDERATION_LISTEN/,
  );
});
