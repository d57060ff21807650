// The record of accepted envelopes, exported and checked offline.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { auditHash, FIRST_HASH } from '@roost/federation/audit';
import { signEnvelope } from '@roost/federation/envelope';
import { A, B, keyOf, NOW } from '@roost/federation/homes.fixture';
import {
  type AuditRow,
  FederationAdminServiceDefinition,
  type ReadAuditRequest,
} from '@roost/proto/roost/federation/v1/admin';
import { answering, operatorOf, roostctl } from './operator.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-audit-'));
afterAll(() => rmSync(folder, { recursive: true }));

const key = keyOf();
const chain = crypto.random(16);
const rows: AuditRow[] = [];
for (let at = 0; at < 7; at++) {
  const order = { source: A, destination: B, method: '/roost.X/Y', createdMs: NOW + at };
  const messageId = new Uint8Array(16).fill(at);
  const envelope = signEnvelope(crypto, key, { ...order, messageId }, utf8(`${at}`));
  const row = { chain, position: BigInt(at + 1), acceptedAtMs: NOW + at, envelope };
  const hash = auditHash(crypto, rows.at(-1)?.hash ?? FIRST_HASH, row);
  rows.push({ ...row, acceptedAtMs: BigInt(NOW + at), hash });
}
const keys = [
  {
    ...{ domain: A, publicKey: key.publicKey },
    ...{ notBeforeMs: BigInt(key.notBefore), notAfterMs: BigInt(key.notAfter) },
  },
];

/** Pages of three rows; the first two are gone by age. */
const readAudit = async ({ position }: ReadAuditRequest) => {
  const left = rows.slice(2).filter((row) => row.position > position);
  const anchors = position === 0n ? [{ chain, hash: rows[1]?.hash ?? FIRST_HASH }] : [];
  return { rows: left.slice(0, 3), keys, anchors, hasMore: left.length > 3 };
};

async function exported(name: string, ...more: string[]): Promise<string> {
  const gateway = answering(FederationAdminServiceDefinition, { readAudit });
  await using operator = await operatorOf([gateway]);
  const file = join(folder, name);
  const { output } = await operator.roostctl('audit', 'export', '--out', file, ...more);
  expect(output).toBe(`5 rows in ${file}\n`);
  await expect(operator.roostctl('audit', 'export', '--out', file)).rejects.toThrow('EEXIST');
  return file;
}

test('what was exported verifies with nothing but the file', async () => {
  const file = await exported('whole');
  expect(await roostctl('audit', 'verify', file)).toEqual({
    ...{ output: '5 rows, all as they were accepted\n', status: 0 },
  });
});

test('which row was changed or taken out is said, and a file that was cut is none', async () => {
  const file = await exported('broken');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const at = (position: number): number =>
    lines.findIndex((line) => line.includes(`"position":${position},`));
  const written = (changed: readonly string[]): string => {
    writeFileSync(file, `${changed.join('\n')}\n`);
    return file;
  };
  const judged = async (changed: readonly string[]) => {
    const { output, status } = await roostctl('--json', 'audit', 'verify', written(changed));
    const { flaws } = JSON.parse(output) as { flaws: { position: number; what: string }[] };
    return [status, ...flaws.map(({ position, what }) => `${position} ${what}`)];
  };
  const later = (line: string): string =>
    line.replace(`"acceptedAtMs":${NOW + 4}`, `"acceptedAtMs":${NOW + 5}`);
  expect(await judged(lines.with(at(5), later(lines[at(5)] ?? '')))).toEqual([1, '5 hash']);
  const end = lines.length - 1;
  const fewer = lines.with(end, JSON.stringify({ kind: 'end', rows: 4 })).toSpliced(at(4), 1);
  expect(await judged(fewer)).toEqual([1, '5 gap', '5 hash']);
  const keyless = lines.filter((line) => !line.includes('"kind":"key"'));
  expect((await judged(keyless)).slice(0, 2)).toEqual([1, '3 key']);

  const verify = async (changed: readonly string[]) =>
    await roostctl('audit', 'verify', written(changed));
  await expect(verify(lines.slice(0, -1))).rejects.toThrow('its last line is missing');
  await expect(verify(lines.toSpliced(at(7), 1))).rejects.toThrow('tells of 5 rows and has 4');
  await expect(verify(lines.slice(1))).rejects.toThrow(/line 1: it does not begin with its header/);
  await expect(verify([...lines, lines[1] ?? ''])).rejects.toThrow('something follows the end');
  await expect(verify(lines.with(2, '{'))).rejects.toThrow(/line 3: it is no line/);
});

test('by the head of an export before it shows what was deleted at the end since, or chained anew', async () => {
  const head = join(folder, 'head.json');
  const file = await exported('with-head', '--head', head);
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const isRow = (line: string): boolean => line.includes('"kind":"row"');
  const judged = async (left: readonly object[]) => {
    const others = lines.slice(0, -1).filter((line) => !isRow(line));
    const end = { kind: 'end', rows: left.length };
    const all = [...others, ...[...left, end].map((value) => JSON.stringify(value))];
    writeFileSync(file, `${all.join('\n')}\n`);
    const { output, status } = await roostctl('--json', 'audit', 'verify', file, '--head', head);
    const { flaws } = JSON.parse(output) as { flaws: { position: number; what: string }[] };
    return [status, ...flaws.map(({ position, what }) => `${position} ${what}`)];
  };
  const written = (row: AuditRow, hash = row.hash) => ({
    ...{ kind: 'row', chain: toHex(chain), position: Number(row.position), hash: toHex(hash) },
    acceptedAtMs: Number(row.acceptedAtMs),
    envelope: Buffer.from(row.envelope).toString('base64'),
  });
  const left = rows.slice(2).map((row) => written(row));
  expect(await judged(left)).toEqual([0]);
  expect(await judged(left.slice(0, -1))).toEqual([1, '7 end']);
  expect(await judged([])).toEqual([1, '7 end']);

  // Row 6 is taken out, and what follows it chained anew: by itself the file is as good as any.
  const [fifth, last] = [rows[4], rows[6]];
  if (fifth === undefined || last === undefined) throw new Error('there are seven rows');
  const moved = { ...last, position: 6n, acceptedAtMs: Number(last.acceptedAtMs) };
  const anew = written({ ...last, position: 6n }, auditHash(crypto, fifth.hash, moved));
  expect(await judged([...left.slice(0, 3), anew])).toEqual([1, '7 end']);
  const other = { ...moved, position: 7n, acceptedAtMs: moved.acceptedAtMs + 1 };
  const another = written(
    { ...last, acceptedAtMs: BigInt(other.acceptedAtMs) },
    auditHash(crypto, rows[5]?.hash ?? FIRST_HASH, other),
  );
  expect(await judged([...left.slice(0, 4), another])).toEqual([1, '7 head']);

  // All of it is gone by age where what is left is younger.
  const young = { ...moved, chain: crypto.random(16), position: 1n };
  const younger = { ...young, acceptedAtMs: moved.acceptedAtMs + 1_000 };
  const hash = auditHash(crypto, FIRST_HASH, younger);
  const row = { ...written(last, hash), chain: toHex(younger.chain), position: 1 };
  expect(await judged([{ ...row, acceptedAtMs: younger.acceptedAtMs }])).toEqual([0]);

  writeFileSync(head, '{}');
  const verifying = roostctl('audit', 'verify', file, '--head', head);
  await expect(verifying).rejects.toThrow('it is not what "audit export --head" wrote');
  await expect(exported('once-more', '--head', head)).rejects.toThrow('EEXIST');
});
