import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toHex } from '@roost/core/bytes';
import { nodeCrypto as crypto } from '@roost/crypto/node';

import { readSecret } from './secrets.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roost-secrets-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function read(text: string): Promise<Uint8Array> {
  writeFileSync(join(folder, 'as'), text);
  return await readSecret(folder, 'as');
}

test('a secret is what the file holds', async () => {
  const drawn = crypto.random(32);
  expect(await read(`${toHex(drawn)}\n`)).toEqual(drawn);
});

test.each([
  ['of zeros', '00'.repeat(32)],
  ['of one byte', 'ab'.repeat(32)],
  ['that counts', toHex(Uint8Array.from({ length: 32 }, (_, at) => at + 1))],
])('one %s is none', async (_, text) => {
  await expect(read(text)).rejects.toThrow('holds a pattern and no secret');
});

test('one that is too short, or not there, is told apart', async () => {
  await expect(read('ab'.repeat(16))).rejects.toThrow('does not hold 32 bytes');
  await expect(readSecret(folder, 'qs')).rejects.toThrow('cannot be read (ENOENT)');
});
