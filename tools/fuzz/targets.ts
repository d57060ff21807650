// All that reads bytes of strangers, by name. Bundled and instrumented before it runs.
import {
  decodeBusAnswer,
  decodeBusBatch,
  encodeBusAnswer,
  encodeBusBatch,
} from '../../libs/bus/src/frames.ts';
import { decodeGroupEvent, encodeGroupEvent } from '../../libs/bus/src/group-event.ts';
import { decodeQueueConfig, encodeQueueConfig } from '../../libs/bus/src/queue-config.ts';
import { decodeQueueBatch } from '../../libs/bus/src/queue.ts';
import { Failure } from '../../libs/core/src/failure.ts';
import { nodeCrypto } from '../../libs/crypto/src/node.ts';
import {
  decodeAddedLeaf,
  decodeCommitAad,
  decodeLeafIdentity,
  encodeAddedLeaf,
  encodeCommitAad,
} from '../../libs/identity/src/leaf.ts';
import { parseProof } from '../../libs/identity/src/proof.ts';
import { mlsTargets, type Target } from '../../libs/mls/fuzz/targets.ts';
import { decodeBatchRequest, encodeBatchRequest } from '../../libs/tokens/src/batch.ts';
import { decodeChallenge, encodeChallenge } from '../../libs/tokens/src/challenge.ts';
import { decodeToken, encodeToken } from '../../libs/tokens/src/token.ts';

/** The targets over a group that runs. */
export function targetsOf(scene: Uint8Array): Record<string, Target> {
  return {
    ...mlsTargets(nodeCrypto, scene),
    'added-leaf': (bytes) => encodeAddedLeaf(decodeAddedLeaf(bytes)),
    'bus-answer': (bytes) => encodeBusAnswer(decodeBusAnswer(bytes)),
    'bus-batch': (bytes) => encodeBusBatch(decodeBusBatch(bytes)),
    'commit-aad': (bytes) => encodeCommitAad(decodeCommitAad(bytes)),
    'group-event': (bytes) => encodeGroupEvent(decodeGroupEvent(bytes)),
    'leaf-identity': readWhole(decodeLeafIdentity),
    proof: readWhole(parseProof),
    'queue-batch': readWhole(decodeQueueBatch),
    'queue-config': (bytes) => encodeQueueConfig(decodeQueueConfig(bytes)),
    'token-batch': (bytes) => encodeBatchRequest(decodeBatchRequest(bytes)),
    'token-challenge': (bytes) => encodeChallenge(decodeChallenge(bytes)),
    token: (bytes) => encodeToken(decodeToken(bytes)),
  };
}

export type Verdict = 'taken' | 'refused';

/** Holds a target to its promise; throws what broke it. */
export function judge(target: Target, bytes: Uint8Array): Verdict {
  const sent = bytes.slice();
  let again: Uint8Array | undefined;
  try {
    again = target(bytes);
  } catch (error) {
    if (error instanceof Failure) return 'refused';
    throw error;
  }
  if (!isSame(bytes, sent)) throw new Error('the bytes were changed by reading them');
  if (again !== undefined && !isSame(again, sent)) {
    throw new Error(`it is written to other bytes: ${Buffer.from(again).toString('hex')}`);
  }
  return 'taken';
}

/** For what nobody but its maker writes: another length may not be read. */
function readWhole(read: (bytes: Uint8Array) => unknown): Target {
  return (bytes) => {
    read(bytes);
    for (const other of [Uint8Array.of(...bytes, 0), bytes.subarray(0, -1)]) {
      if (isTaken(read, other)) throw new Error('trailing or missing bytes are not noticed');
    }
    return undefined;
  };
}

function isTaken(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
  try {
    read(bytes);
    return true;
  } catch {
    return false;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
