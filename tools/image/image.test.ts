import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { archiveOf } from './oci.ts';
import { type Entry, tarOf } from './tar.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-image-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const long = `app/${'a'.repeat(60)}/${'b'.repeat(60)}/main.js`;
const files: Entry[] = [
  { path: long, mode: 0o644, bytes: Buffer.from('long') },
  { path: 'bin/run', mode: 0o755, bytes: Buffer.alloc(1_025, 'x') },
  { path: 'bin/link', mode: 0o777, link: 'run' },
];

function unpack(archive: Buffer, name: string): string {
  const [file, into] = [join(folder, `${name}.tar`), join(folder, name)];
  writeFileSync(file, archive);
  execFileSync('mkdir', [into]);
  execFileSync('tar', ['-xf', file, '-C', into]);
  return into;
}

test('another program reads our archives: long paths, modes, links, lengths that fill no block', () => {
  const into = unpack(tarOf(files), 'plain');
  expect(readFileSync(join(into, long), 'utf8')).toBe('long');
  expect(readFileSync(join(into, 'bin/link'))).toHaveLength(1_025);
  const [mode] = execFileSync('stat', ['-c', '%a', join(into, 'bin/run')], {
    encoding: 'utf8',
  }).split('\n');
  expect(mode).toBe('755');
});

test('a path that fits into no archive is refused', () => {
  expect(() => tarOf([{ path: 'c'.repeat(101), mode: 0o644 }])).toThrow('too long');
});

test('the same files make the same image, and every blob has the name of its hash', () => {
  const image = {
    ...{ reference: 'a.local/b:1', user: '1:1', entrypoint: ['/bin/run'], env: {}, labels: {} },
    files,
  };
  const { archive, digest } = archiveOf(image);
  expect(archiveOf({ ...image, files: files.toReversed() }).digest).toBe(digest);

  const into = unpack(archive, 'image');
  const blob = (name: string) =>
    readFileSync(join(into, 'blobs/sha256', name.replace('sha256:', '')));
  const index: { manifests: { digest: string }[] } = JSON.parse(
    readFileSync(join(into, 'index.json'), 'utf8'),
  );
  expect(index.manifests.map((each) => each.digest)).toEqual([digest]);
  const manifest: Record<'config' | 'layers', { digest: string; size: number }> & {
    layers: { digest: string; size: number }[];
  } = JSON.parse(blob(digest).toString());
  for (const each of [manifest.config, ...manifest.layers]) {
    const bytes = blob(each.digest);
    expect(bytes).toHaveLength(each.size);
    expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(each.digest);
  }
});
