// Coverage of our code and of ts-mls by counters that are compiled in: bundled by esbuild, each file
// instrumented by what Jest measures coverage with. Reading V8's own counters takes milliseconds a
// run, which is a hundred times what most runs take.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { build, transformSync, type Plugin } from 'esbuild';
import { createInstrumenter } from 'istanbul-lib-instrument';

import { root } from '../steps.ts';

/** How often each function and branch ran, by files, as istanbul keeps it. */
type Counters = Record<string, { f: Record<string, number>; b: Record<string, number[]> }>;

/** Whose branches guide: the decoders and judges, not the cryptography below them. */
const GUIDING =
  /[/\\](?:libs[/\\](?:bus|core|identity|mls|tokens)[/\\](?:src|fuzz)|ts-mls[/\\]dist)[/\\]/;

const instrumented: Plugin = {
  name: 'instrumented',
  setup(bundler) {
    const instrumenter = createInstrumenter({ esModules: true, compact: true });
    bundler.onLoad({ filter: /\.[jt]s$/ }, ({ path }) => {
      if (!GUIDING.test(path)) return undefined;
      const source = readFileSync(path, 'utf8');
      const { code } = transformSync(source, {
        loader: path.endsWith('.ts') ? 'ts' : 'js',
        target: 'es2022',
      });
      return { contents: instrumenter.instrumentSync(code, path), loader: 'js' };
    });
  },
};

/** Bundles a module with its counters into a folder, and loads it. */
export async function loadInstrumented(entry: string, folder: string): Promise<unknown> {
  const outfile = join(folder, 'targets.mjs');
  await build({
    entryPoints: [join(root, entry)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    logLevel: 'error',
    plugins: [instrumented],
    banner: {
      js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
    },
  });
  return await import(pathToFileURL(outfile).href);
}

/** Which branches were ever taken, and about how often in one run. */
export class Coverage {
  readonly #lists: number[][] = [];
  readonly #functions: Record<string, number>[] = [];
  readonly #seen = new Map<object, Uint8Array>();
  found = 0;

  constructor() {
    const { __coverage__: counters = {} } = globalThis as { __coverage__?: Counters };
    for (const { f, b } of Object.values(counters)) {
      this.#functions.push(f);
      this.#seen.set(f, new Uint8Array(Object.keys(f).length));
      for (const list of Object.values(b)) {
        this.#lists.push(list);
        this.#seen.set(list, new Uint8Array(list.length));
      }
    }
  }

  /** Whether the run since the last call went where none has been; begins anew. */
  take(): boolean {
    const before = this.found;
    for (const list of this.#lists) {
      for (let at = 0; at < list.length; at++) {
        const count = list[at] ?? 0;
        if (count === 0) continue;
        list[at] = 0;
        this.#note(list, at, count);
      }
    }
    for (const functions of this.#functions) {
      const keys = Object.keys(functions);
      for (let at = 0; at < keys.length; at++) {
        const key = keys[at] ?? '';
        const count = functions[key] ?? 0;
        if (count === 0) continue;
        functions[key] = 0;
        this.#note(functions, at, count);
      }
    }
    return this.found > before;
  }

  #note(counters: object, at: number, count: number): void {
    const seen = this.#seen.get(counters);
    const bit = 1 << Math.min(7, 32 - Math.clz32(count) - 1);
    if (seen === undefined || ((seen[at] ?? 0) & bit) !== 0) return;
    seen[at] = (seen[at] ?? 0) | bit;
    this.found += 1;
  }
}
