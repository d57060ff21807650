import type { VectorKind } from '@roost/core/vectors';
import { deserialization, messages, transcriptHashes } from './objects.ts';
import { cryptoBasics, keySchedule, pskSecret, secretTree } from './secrets.ts';
import { passiveClient } from './passive-client.ts';
import { messageProtection } from './protection.ts';
import { treekem } from './treekem.ts';
import { welcome } from './welcome.ts';
import { treeMath, treeOperations, treeValidation } from './trees.ts';

/** Every kind of vector that the MLS working group publishes. */
export const mlsKinds: readonly VectorKind[] = [
  treeMath,
  treeValidation,
  treeOperations,
  transcriptHashes,
  messages,
  deserialization,
  cryptoBasics,
  keySchedule,
  pskSecret,
  secretTree,
  treekem,
  messageProtection,
  welcome,
  passiveClient,
];
