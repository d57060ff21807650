import { nodeCrypto } from '../../libs/crypto/src/node.ts';
import { Walk } from '../../libs/mls/src/testing-walk.ts';

/** So long every group is; then a new one begins with the next seed. */
const EPOCHS_EACH = 100;

/** Walks random groups for so many epochs; each has a seed of its own, which is printed. */
export async function walkFor(
  epochs: number,
  firstSeed: number,
  say: (line: string) => void,
): Promise<number> {
  const began = performance.now();
  const kinds = new Map<string, number>();
  let done = 0;
  for (let seed = firstSeed; done < epochs; seed++) {
    const walk = await Walk.start(nodeCrypto, seed);
    try {
      done += await walk.run(Math.min(EPOCHS_EACH, epochs - done));
    } catch (error) {
      say(
        `FAIL seed ${seed}, epoch ${walk.epoch}: ${error instanceof Error ? error.stack : String(error)}`,
      );
      say(`  again: npm run fuzz -- walk --seed ${seed} --epochs ${EPOCHS_EACH}`);
      say('0 passed, 1 failed');
      return 1;
    }
    for (const [kind, count] of walk.kinds) kinds.set(kind, (kinds.get(kind) ?? 0) + count);
    say(`ok   seed ${seed}: ${done} epochs so far`);
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  const counts = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ');
  say(`${done} epochs in ${seconds} s: ${counts}`);
  say('1 passed, 0 failed');
  return 0;
}
