import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { makeCertificates, PEERS } from './certificates.ts';

const domain = parseDomain('home.example');
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roost-certificates-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const certificate = (name: string) => new X509Certificate(read(`${name}.crt`));

test('each process has a certificate that names it, by one authority; keys are the owner’s alone', async () => {
  await makeCertificates({ domain, folder, days: 30 });
  const names = ['ca', ...PEERS];
  expect(readdirSync(folder).toSorted()).toEqual(
    names.flatMap((name) => [`${name}.crt`, `${name}.key`]).toSorted(),
  );
  const ca = certificate('ca');
  expect([ca.ca, ca.verify(ca.publicKey)]).toEqual([true, true]);
  for (const name of PEERS) {
    const made = certificate(name);
    expect(made.subjectAltName).toBe(`URI:spiffe://${domain}/${name}`);
    expect([made.ca, made.checkIssued(ca), made.verify(ca.publicKey)]).toEqual([false, true, true]);
    const days = (+made.validToDate - Date.now()) / DAY_MS;
    expect(days).toBeGreaterThan(29.9);
    expect(days).toBeLessThan(30.1);
  }
  for (const name of names) expect(statSync(join(folder, `${name}.key`)).mode & 0o777).toBe(0o600);
});

test('the next run renews what processes show and keeps the authority', async () => {
  await makeCertificates({ domain, folder, days: 30 });
  const before = { ca: read('ca.crt'), key: read('ca.key'), qs: read('qs.crt') };
  expect(await makeCertificates({ domain, folder, days: 30 })).toContain('ca (kept)');
  expect([read('ca.crt'), read('ca.key')]).toEqual([before.ca, before.key]);
  expect(read('qs.crt')).not.toBe(before.qs);
  expect(certificate('qs').verify(certificate('ca').publicKey)).toBe(true);
});

test('an authority that is damaged, incomplete, old or of another domain is not used, nor replaced', async () => {
  await makeCertificates({ domain, folder, days: 30 });
  const [crt, key] = [read('ca.crt'), read('ca.key')];
  const tryAgain = async (order: Partial<Parameters<typeof makeCertificates>[0]> = {}) =>
    await makeCertificates({ domain, folder, days: 30, ...order });
  await expect(tryAgain({ domain: parseDomain('other.example') })).rejects.toThrow(/another home/);
  await expect(tryAgain({ days: 4_000 })).rejects.toThrow(/ends before 4000 days/);
  writeFileSync(join(folder, 'ca.key'), 'garbage');
  await expect(tryAgain()).rejects.toThrow(/damaged: restore/);
  rmSync(join(folder, 'ca.key'));
  await expect(tryAgain()).rejects.toThrow(/only one of ca.crt and ca.key/);
  expect(read('ca.crt')).toBe(crt);
  writeFileSync(join(folder, 'ca.key'), key);
  await tryAgain();
});

test('an authority whose key is another’s is found out before anything is signed', async () => {
  await makeCertificates({ domain, folder, days: 30 });
  const crt = read('ca.crt');
  for (const name of ['ca.crt', 'ca.key']) rmSync(join(folder, name));
  await makeCertificates({ domain, folder, days: 30 });
  writeFileSync(join(folder, 'ca.crt'), crt);
  const before = read('qs.crt');
  await expect(makeCertificates({ domain, folder, days: 30 })).rejects.toThrow(/damaged/);
  expect(read('qs.crt')).toBe(before);
});
