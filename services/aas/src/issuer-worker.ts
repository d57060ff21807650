import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { assert } from '@roost/core/assert';
import { blindSignBatch, importIssuerKey, type IssuerKey } from '@roost/tokens/node/issuer';
import type { SignRequest, SignResponse } from './issuer-pool.ts';

// One of the threads that do the private operation. Blinded messages come in and go back in one buffer
// each, which is handed over and not copied.
const port = parentPort;
assert(port !== null, 'this runs in a worker');

yieldToChecks();

/** Two classes issue at a time; a few more while keys change. */
const KEYS_MAX = 4;
const keys = new Map<string, IssuerKey>();

port.on('message', ({ id, key: { name, pkcs8 }, blinded }: SignRequest) => {
  port.postMessage(...answer(id, { name, pkcs8 }, blinded));
});

function answer(
  id: number,
  key: SignRequest['key'],
  blinded: Uint8Array,
): [SignResponse, ArrayBuffer[]] {
  try {
    const signatures = blindSignBatch(keyOf(key), blinded);
    return [{ id, signatures }, [signatures.buffer]];
  } catch {
    // What was wrong with a message was said before it came here; this is ours.
    return [{ id, signatures: undefined }, []];
  }
}

function keyOf({ name, pkcs8 }: SignRequest['key']): IssuerKey {
  const known = keys.get(name);
  if (known !== undefined) return known;
  const imported = importIssuerKey(pkcs8);
  keys.set(name, imported);
  const [oldest] = keys.keys();
  if (keys.size > KEYS_MAX && oldest !== undefined) keys.delete(oldest);
  return imported;
}

/** Where a core is scarce, who checks a token goes first. On Linux this is about this thread alone. */
function yieldToChecks(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, constants.priority.PRIORITY_LOW);
  } catch {
    // Not everybody may; then they take turns.
  }
}
