// What an image of ours holds, whoever packs it: the Dockerfile and `tools/image.ts` both take it from here.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { root, run } from '../steps.ts';

/** Each becomes /app/<name>/main.js. */
const PROGRAMS = [
  ...['as', 'aas', 'qs', 'ds', 'federation-gateway'],
  ...['edge', 'ctl', 'probe'],
] as const;

const PNPM = 'pnpm@12.21.0';

/** Lays /app out in `folder`: a bundle for each program, the licence, and what they are made of (CycloneDX). */
export async function layOut(folder: string): Promise<void> {
  await orThrow('build', [process.execPath, 'tools/build.ts', ...PROGRAMS]);
  const app = join(folder, 'app');
  rmSync(app, { recursive: true, force: true });
  mkdirSync(app, { recursive: true });
  for (const program of PROGRAMS) {
    cpSync(join(root, 'dist', program), join(app, program), { recursive: true });
  }
  // What an operator types in a pod, where there is no shell.
  const bin = join(app, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'package.json'), '{ "type": "module" }\n');
  const roostctl = "#!/usr/local/bin/node\nawait import('../ctl/main.js');\n";
  writeFileSync(join(bin, 'roostctl'), roostctl, { mode: 0o755 });
  cpSync(join(root, 'LICENSE'), join(app, 'LICENSE'));
  writeFileSync(join(app, 'sbom.cdx.json'), await billOfMaterials());
}

/** The packages that the programs may hold, as pnpm knows them from the lockfile. */
async function billOfMaterials(): Promise<string> {
  const out = join(root, 'dist/sbom.json');
  const filters = PROGRAMS.flatMap((program) => ['--filter', `@roost/${program}`]);
  await orThrow('sbom', [
    ...(['npx', '--yes', '--prefer-offline', PNPM, 'sbom', '--prod'] as const),
    ...['--sbom-format', 'cyclonedx', '--sbom-spec-version', '1.6'],
    ...['--sbom-type', 'application', '--out', out, ...filters],
  ]);
  const bill: { serialNumber?: string; metadata: { timestamp?: string } } = JSON.parse(
    readFileSync(out, 'utf8'),
  );
  // The same sources make the same image.
  delete bill.serialNumber;
  delete bill.metadata.timestamp;
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}

async function orThrow(name: string, command: readonly [string, ...string[]]): Promise<void> {
  const { ok, output } = await run({ name, command });
  if (!ok) throw new Error(`${name} failed:\n${output}`);
}
