// The seeds of the corpus: small real messages, made by members of real groups. They are in the
// repository so that a run begins where the last one ended; `npm run fuzz -- corpus` makes them anew.
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from '../steps.ts';
import { makeFrameSeeds } from './seeds.ts';
import { makeMlsSeeds } from '../../libs/mls/fuzz/seeds.ts';

const CORPUS = join(root, 'tools/fuzz/corpus');
const SCENE = join(CORPUS, 'scene.bin');
/** Of a target and all that is kept for it. */
const KEPT_MAX = 40;
const KEPT_BYTES_MAX = 1_024;

export const readCorpus = {
  /** The group that commits and proposals are judged in. */
  scene: (): Uint8Array => Uint8Array.from(readFileSync(SCENE)),
  of(target: string): Uint8Array[] {
    const files = globSync('*.bin', { cwd: join(CORPUS, target) }).toSorted();
    return files.map((file) => Uint8Array.from(readFileSync(join(CORPUS, target, file))));
  },
  /** Adds what found new branches, as long as there is room. */
  keep(target: string, found: readonly Uint8Array[]): void {
    const room = KEPT_MAX - readCorpus.of(target).length;
    const small = found.filter(({ length }) => length <= KEPT_BYTES_MAX);
    for (const bytes of small.slice(0, Math.max(0, room))) write(target, bytes);
  },
};

/** Makes all seeds anew; what runs have kept goes, because the scene is another. */
export async function makeCorpus(): Promise<void> {
  rmSync(CORPUS, { recursive: true, force: true });
  mkdirSync(CORPUS, { recursive: true });
  const { scene, seeds } = await makeMlsSeeds();
  writeFileSync(SCENE, scene);
  for (const [target, list] of Object.entries({ ...seeds, ...makeFrameSeeds() })) {
    for (const bytes of list) write(target, bytes);
  }
}

function write(target: string, bytes: Uint8Array): void {
  const folder = join(CORPUS, target);
  mkdirSync(folder, { recursive: true });
  const name = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  writeFileSync(join(folder, `${name}.bin`), bytes);
}
