import { assert } from '@roost/core/assert';
import { compare } from '@roost/core/bytes';
import type { UpdatePath } from 'ts-mls/updatePath.js';
import { invalid } from './message.ts';
import { checkNewKeys } from './tree-keys.ts';
import { AEAD_TAG_BYTES } from './shape.ts';
import { KeySet } from './tree-index.ts';
import { Leaf, Parent } from './tree-node.ts';
import { filteredDirectPath, parentHash } from './tree-path.ts';
import type { PathStep } from './tree-path.ts';
import type { TreeDiff } from './tree.ts';
import {
  checkEncryptionKey,
  checkKemOutput,
  checkLeafCapabilities,
  checkLeafSignature,
} from './validation.ts';

export interface PathSender {
  readonly groupId: Uint8Array;
  readonly leafIndex: number;
  /** Leaves that the same commit adds; they get their secret by the Welcome. */
  readonly added: readonly number[];
  /** An external committer: its leaf stands in the tree already. */
  readonly isExternal: boolean;
}

/**
 * Applies an UpdatePath (RFC 9420 §7.5, §7.6, §12.4.2) after checking it: length, ciphertexts, new
 * keys, the leaf, parent hashes. Whether the ciphertexts open to the right secrets, only members see.
 */
export function applyPath(tree: TreeDiff, path: UpdatePath, sender: PathSender): void {
  const { groupId, leafIndex } = sender;
  const steps = filteredDirectPath(tree.nodes, leafIndex);
  checkShape(tree, path, steps, sender.added);
  const leaf = Leaf.of(path.leafNode);
  checkPathKeys(tree, path, leaf, sender);
  checkLeafCapabilities(tree.suite, path.leafNode);
  checkLeafSignature(tree.suite, path.leafNode, groupId, leafIndex);

  tree.blankPath(leafIndex);
  const hash = setParents(tree, path, steps);
  if (path.leafNode.leafNodeSource !== 'commit' || compare(path.leafNode.parentHash, hash) !== 0) {
    throw invalid('the parent hash of the path does not hold (RFC 9420 §7.9.2)');
  }
  tree.setLeaf(leafIndex, leaf);
}

/** §7.6: one node for each step, one ciphertext for each who is to learn its secret. */
function checkShape(
  { suite }: TreeDiff,
  path: UpdatePath,
  steps: readonly PathStep[],
  added: readonly number[],
): void {
  if (path.nodes.length !== steps.length) {
    throw invalid('the path has the wrong length (RFC 9420 §12.4.2)');
  }
  const addedNodes = new Set(added.map((leaf) => leaf * 2));
  for (const [at, step] of steps.entries()) {
    const recipients = step.resolution.filter((node) => !addedNodes.has(node)).length;
    const ciphertexts = path.nodes[at]?.encryptedPathSecret ?? [];
    if (ciphertexts.length !== recipients) {
      throw invalid('a path node has the wrong number of ciphertexts (RFC 9420 §7.6)');
    }
    for (const { kemOutput, ciphertext } of ciphertexts) {
      checkKemOutput(suite, kemOutput);
      if (ciphertext.length !== suite.hashBytes + AEAD_TAG_BYTES) {
        throw invalid('a ciphertext of the path does not hold a path secret (RFC 9420 §7.6)');
      }
    }
  }
}

/** §12.4.2, §7.3: all keys of the path are new, and differ from each other. */
function checkPathKeys(
  tree: TreeDiff,
  path: UpdatePath,
  leaf: Leaf,
  { leafIndex, isExternal }: PathSender,
): void {
  // The leaf of an external committer was held to this when it was put into the tree.
  if (!isExternal) checkNewKeys(tree, leaf, leafIndex);
  const seen = new KeySet();
  seen.add(leaf.encryptionKey);
  checkEncryptionKey(tree.suite, leaf.encryptionKey);
  for (const { hpkePublicKey } of path.nodes) {
    checkEncryptionKey(tree.suite, hpkePublicKey);
    if (seen.has(hpkePublicKey) || tree.keys.encryption.has(hpkePublicKey)) {
      throw invalid('a key of the path is not new (RFC 9420 §12.4.2)');
    }
    seen.add(hpkePublicKey);
  }
}

/** Sets the parents from the top, each with the hash of the one above; returns the leaf's hash. */
function setParents(tree: TreeDiff, path: UpdatePath, steps: readonly PathStep[]): Uint8Array {
  let hash: Uint8Array = new Uint8Array(0);
  for (const [at, step] of [...steps.entries()].toReversed()) {
    const key = path.nodes[at]?.hpkePublicKey;
    assert(key !== undefined, 'the path was found to have a node for each step');
    const parent = new Parent(Uint8Array.from(key), hash, []);
    tree.setParent(step.node, parent);
    hash = parentHash(tree, parent, step.copathChild);
  }
  return hash;
}
