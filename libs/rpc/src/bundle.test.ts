import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';
import { build } from 'esbuild';

const at = (file: string) => fileURLToPath(new URL(file, import.meta.url));

test("the browser's client, and all that it signs with, needs nothing of Node", async () => {
  const { outputFiles, warnings } = await build({
    entryPoints: [
      at('./web.ts'),
      at('../../identity/src/connection.ts'),
      at('../../identity/src/leaf.ts'),
    ],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    minify: true,
    outdir: 'unused',
    logLevel: 'silent',
  });
  expect(warnings).toEqual([]);
  const web = outputFiles.find(({ path }) => path.endsWith('web.js'));
  expect(web?.text).not.toContain('node:');
  expect(web?.contents.length).toBeLessThan(60_000);
});
