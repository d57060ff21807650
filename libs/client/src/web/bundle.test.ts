import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { build } from 'esbuild';

/** All that a page needs: the client with a browser's transport, store and cryptography. */
const ENTRY = `
  export { Client } from '@roost/client/client';
  export { openWebClient } from '@roost/client/web/open';
`;

test('the client is bundled for a browser, with nothing of Node in it', async () => {
  const { outputFiles, metafile } = await build({
    stdin: { contents: ENTRY, resolveDir: import.meta.dirname, loader: 'ts' },
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
  });
  const [bundle] = outputFiles;
  const inputs = Object.keys(metafile.inputs);
  const kilobytes = (bytes: number): number => Math.round(bytes / 1000);
  const size = `${kilobytes(bundle?.contents.length ?? 0)} kB, ${kilobytes(gzipSync(bundle?.contents ?? '').length)} kB with gzip`;
  process.stdout.write(`the client in a browser: ${size}\n`);

  expect(bundle?.text).not.toMatch(/["']node:/);
  expect(
    inputs.filter((path) =>
      /\/node\/|grpc-js|nice-grpc\//.test(path.replaceAll('node_modules', '')),
    ),
  ).toEqual([]);
  expect(inputs.some((path) => path.includes('libs/client/src/client.ts'))).toBe(true);
});
