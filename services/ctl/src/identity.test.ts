// What a process finds wrong with the certificate that it is given, before anybody else does.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS, systemClock } from '@roost/core/time';
import { readTlsFiles } from '@roost/service/tls-files';
import { makeCertificates } from './certificates.ts';

const domain = parseDomain('home.example');
const qs = { domain, name: 'qs' };
const folder = mkdtempSync(join(tmpdir(), 'roost-identity-'));
const [ours, foreign] = [join(folder, 'ours'), join(folder, 'foreign')];

beforeAll(async () => {
  await makeCertificates({ domain, folder: ours, days: 30 });
  await makeCertificates({ domain, folder: foreign, days: 30 });
});
afterAll(() => rmSync(folder, { recursive: true }));

const paths = (name: string) => ({
  cert: join(ours, `${name}.crt`),
  key: join(ours, `${name}.key`),
  ca: join(ours, 'ca.crt'),
});
const clockAt = (days: number) => ({ now: () => Date.now() + days * DAY_MS });

test('what roostctl makes is good, also where other authorities stand before it', async () => {
  const both = join(folder, 'both.crt');
  const [one, other] = [foreign, ours].map((each) => readFileSync(join(each, 'ca.crt'), 'utf8'));
  writeFileSync(both, `${one}${other}`);
  const { ends } = await readTlsFiles({ ...paths('qs'), ca: both }, qs, systemClock);
  expect(Math.round((+ends.server - Date.now()) / DAY_MS)).toBe(30);
  expect(Math.round((+ends.ca - Date.now()) / DAY_MS)).toBe(3_650);
});

test('all that is wrong is said at once', async () => {
  const mixed = { ...paths('ds'), ca: join(foreign, 'ca.crt') };
  await expect(readTlsFiles(mixed, qs, clockAt(31))).rejects.toThrow(
    /not that of qs of home\.example.*spiffe:\/\/home\.example\/qs.*\n.*ended on.*renew.*\n.*not signed by any of ROOST_TLS_CA/,
  );
});

test('a certificate that has ended, or not begun, and one of an authority that has', async () => {
  await expect(readTlsFiles(paths('qs'), qs, clockAt(31))).rejects.toThrow(/^ROOST_TLS_CERT ended/);
  await expect(readTlsFiles(paths('qs'), qs, clockAt(-1))).rejects.toThrow(/ROOST_TLS_CERT begins/);
  await expect(readTlsFiles(paths('qs'), qs, clockAt(3_651))).rejects.toThrow(/ROOST_TLS_CA ended/);
});

test('files that are missing, empty or do not belong together', async () => {
  const given = (changes: Partial<ReturnType<typeof paths>>) =>
    readTlsFiles({ ...paths('qs'), ...changes }, qs, systemClock);
  await expect(given({ key: join(ours, 'none.key') })).rejects.toThrow(
    /ROOST_TLS_KEY: .*cannot be/,
  );
  await expect(given({ key: join(ours, 'ds.key') })).rejects.toThrow(/pair that belongs together/);
  const empty = join(folder, 'empty');
  writeFileSync(empty, '');
  await expect(given({ ca: empty })).rejects.toThrow(/ROOST_TLS_C/);
  await expect(given({ cert: empty })).rejects.toThrow(/ROOST_TLS_C/);
});
