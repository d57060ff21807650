import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { toHex } from '@roost/core/bytes';
import type { Domain } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import { type AuditFlaw, type AuditRow, checkAudit } from '@roost/federation/audit';
import { keyIdOf, type TrustedKey } from '@roost/federation/keys';
import type { ReadAuditResponse } from '@roost/proto/roost/federation/v1/admin';
import { z } from 'zod';
import { HeadReader } from './audit-head.ts';

/**
 * The record of accepted envelopes in a file, a JSON value a line: a header; for each page its keys, its
 * anchors and its rows; and how many rows there were, so that a file that was cut is told from a whole one.
 */
export function headerLine(exportedAtMs: number): string {
  return line({ kind: 'roost federation audit', version: 1, exportedAtMs });
}

export function pageLines({ keys, anchors, rows }: ReadAuditResponse): string {
  return [
    ...keys.map(({ domain, publicKey, notBeforeMs, notAfterMs }) => {
      const times = { notBeforeMs: Number(notBeforeMs), notAfterMs: Number(notAfterMs) };
      return line({ kind: 'key', domain, publicKey: toHex(publicKey), ...times });
    }),
    ...anchors.map(({ chain, hash }) =>
      line({ kind: 'anchor', chain: toHex(chain), hash: toHex(hash) }),
    ),
    ...rows.map(({ chain, position, acceptedAtMs, envelope, hash }) => {
      const place = { chain: toHex(chain), position: Number(position) };
      const bytes = { envelope: Buffer.from(envelope).toString('base64'), hash: toHex(hash) };
      return line({ kind: 'row', ...place, acceptedAtMs: Number(acceptedAtMs), ...bytes });
    }),
  ].join('');
}

export function endLine(rows: number): string {
  return line({ kind: 'end', rows });
}

export interface Verdict {
  readonly checked: number;
  readonly flaws: readonly AuditFlaw[];
}

/**
 * Checks a file with nothing but itself, and a head of before where there is one; throws a sentence where it
 * is none of these, or was cut.
 */
export function verifyFile(crypto: Crypto, path: string, headPath?: string): Verdict {
  const head = headPath === undefined ? undefined : new HeadReader(headPath);
  const known = new Map<string, TrustedKey[]>();
  const anchors = new Map<string, Uint8Array>();
  let told: number | undefined;
  const read = function* (): Generator<AuditRow> {
    for (const [number, value] of valuesOf(path)) {
      if (told !== undefined) throw damaged(path, number, 'something follows the end');
      if ((number === 1) !== (value.kind === HEADER)) {
        throw damaged(path, number, 'it does not begin with its header');
      }
      if (value.kind === 'key') noteKey(crypto, known, value);
      if (value.kind === 'anchor') anchors.set(value.chain, bytesOf(value.hash));
      if (value.kind === 'end') told = value.rows;
      if (value.kind !== 'row') continue;
      const row = rowOf(value);
      head?.see(row);
      yield row;
    }
  };
  const verdict = checkAudit(crypto, read(), (source: Domain) => known.get(source) ?? [], anchors);
  if (told !== verdict.checked) {
    throw new CannotStart(
      `${path} was cut: ${told === undefined ? 'its last line is missing' : `it tells of ${told} rows and has ${verdict.checked}`}; export it again`,
    );
  }
  return { ...verdict, flaws: [...verdict.flaws, ...(head?.flaws() ?? [])] };
}

function noteKey(
  crypto: Crypto,
  known: Map<string, TrustedKey[]>,
  key: Extract<Line, { kind: 'key' }>,
): void {
  const publicKey = bytesOf(key.publicKey);
  const keyId = keyIdOf(crypto, publicKey);
  const validity = { notBefore: key.notBeforeMs, notAfter: key.notAfterMs };
  const ofDomain = known.get(key.domain) ?? [];
  ofDomain.push({ keyId, publicKey, revokedAt: undefined, ...validity });
  known.set(key.domain, ofDomain);
}

function rowOf(row: Extract<Line, { kind: 'row' }>): AuditRow {
  return {
    chain: bytesOf(row.chain),
    position: BigInt(row.position),
    acceptedAtMs: row.acceptedAtMs,
    envelope: new Uint8Array(Buffer.from(row.envelope, 'base64')),
    hash: bytesOf(row.hash),
  };
}

function* valuesOf(path: string): Generator<[number: number, value: Line]> {
  let number = 0;
  for (const text of linesOf(path)) {
    number++;
    const parsed = lineSchema.safeParse(jsonOf(text));
    if (!parsed.success) throw damaged(path, number, 'it is no line of such a record');
    yield [number, parsed.data];
  }
}

/** One after the other: a record of a year may be larger than the memory. */
function* linesOf(path: string): Generator<string> {
  const file = open(path);
  try {
    const [chunk, decoder] = [Buffer.alloc(1 << 20), new StringDecoder('utf8')];
    let rest = '';
    for (let size = readSync(file, chunk); size > 0; size = readSync(file, chunk)) {
      const parts = (rest + decoder.write(chunk.subarray(0, size))).split('\n');
      rest = parts.pop() ?? '';
      yield* parts;
    }
    if (rest !== '') yield rest;
  } finally {
    closeSync(file);
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new CannotStart(`${path} cannot be read (${errorCode(error) ?? String(error)})`, {
      cause: error,
    });
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function damaged(path: string, number: number, what: string): CannotStart {
  return new CannotStart(`${path}, line ${number}: ${what}; is this what "audit export" wrote?`);
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

const HEADER = 'roost federation audit';
const hexOf = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
const ms = z.int().min(0);
const lineSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal(HEADER), version: z.literal(1), exportedAtMs: ms }),
  z.object({
    ...{ kind: z.literal('key'), domain: z.string().max(253), publicKey: hexOf(32) },
    ...{ notBeforeMs: ms, notAfterMs: ms },
  }),
  z.object({ kind: z.literal('anchor'), chain: hexOf(16), hash: hexOf(32) }),
  z.object({
    ...{ kind: z.literal('row'), chain: hexOf(16), position: z.int().min(1), acceptedAtMs: ms },
    ...{ envelope: z.base64(), hash: hexOf(32) },
  }),
  z.object({ kind: z.literal('end'), rows: ms }),
]);
type Line = z.output<typeof lineSchema>;
