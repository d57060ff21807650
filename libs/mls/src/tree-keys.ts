import { compare } from '@roost/core/bytes';
import { invalid } from './message.ts';
import type { Leaf } from './tree-node.ts';
import type { TreeDiff } from './tree.ts';

/** §7.3: keys that a leaf brings are new; `replaced` may keep its signature key. */
export function checkNewKeys(tree: TreeDiff, leaf: Leaf, replaced: number | undefined): void {
  if (tree.keys.encryption.has(leaf.encryptionKey)) {
    throw invalid('an encryption key is in the tree already (RFC 9420 §7.3)');
  }
  const before = replaced === undefined ? undefined : tree.leafAt(replaced);
  const keeps = before !== undefined && compare(before.signatureKey, leaf.signatureKey) === 0;
  if (!keeps && tree.keys.signature.has(leaf.signatureKey)) {
    throw invalid('a signature key is in the tree already (RFC 9420 §7.3)');
  }
}
