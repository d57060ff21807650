import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '@roost/core/assert';
import { blindSignBatch, importIssuerKey } from '@roost/tokens/node/issuer';
import type { SignRequest, SignResponse } from './issuer-pool.ts';

// One of the threads that do the private operation. The key comes with the thread; blinded messages
// come in and go back in one buffer each, which is handed over and not copied.
const pkcs8: unknown = workerData;
assert(pkcs8 instanceof Uint8Array, 'a worker is given its private key');
const key = importIssuerKey(pkcs8);
const port = parentPort;
assert(port !== null, 'this runs in a worker');

port.on('message', ({ id, blinded }: SignRequest) => {
  port.postMessage(...answer(id, blinded));
});

function answer(id: number, blinded: Uint8Array): [SignResponse, ArrayBuffer[]] {
  try {
    const signatures = blindSignBatch(key, blinded);
    return [{ id, signatures }, [signatures.buffer]];
  } catch {
    // What was wrong with a message was said before it came here; this is ours.
    return [{ id, signatures: undefined }, []];
  }
}
