import { compare } from '@roost/core/bytes';
import { KeySet } from './tree-index.ts';
import { invalid } from './message.ts';
import { directPath, isWithin, leftOf, rightOf } from './tree-math.ts';
import type { TreeNode } from './tree-node.ts';
import type { Parent } from './tree-node.ts';
import { parentHash, resolution } from './tree-path.ts';
import type { Tree } from './tree.ts';
import { checkEncryptionKey, checkLeafCapabilities, checkLeafSignature } from './validation.ts';

/**
 * Holds a tree that somebody hands us to RFC 9420 §12.4.3.1: each leaf, unique keys, unmerged
 * leaves, parent hashes. A tree that came about by staged commits needs it no more.
 */
export function validateTree(tree: Tree, groupId: Uint8Array): void {
  checkUniqueKeys(tree.nodes);
  for (const leafIndex of tree.leafIndexes()) {
    const leaf = tree.leafAt(leafIndex)?.node;
    if (leaf === undefined) continue;
    checkEncryptionKey(tree.suite, leaf.hpkePublicKey);
    checkLeafCapabilities(tree.suite, leaf);
    checkLeafSignature(tree.suite, leaf, groupId, leafIndex);
  }
  for (const [at, node] of tree.nodes.entries()) {
    if (node?.kind !== 'parent') continue;
    checkEncryptionKey(tree.suite, node.encryptionKey);
    checkUnmergedLeaves(tree.nodes, at, node);
    checkParentHash(tree, at, node);
  }
}

/** §7.3, §12.4.3.1: no encryption key and no signature key appears twice. */
export function checkUniqueKeys(nodes: readonly (TreeNode | undefined)[]): void {
  const encryption = new KeySet();
  const signature = new KeySet();
  for (const node of nodes) {
    if (node === undefined) continue;
    if (encryption.has(node.encryptionKey)) {
      throw invalid('an encryption key appears twice in the tree (RFC 9420 §12.4.3.1)');
    }
    encryption.add(node.encryptionKey);
    if (node.kind !== 'leaf') continue;
    if (signature.has(node.signatureKey)) {
      throw invalid('two members have the same signature key (RFC 9420 §7.3)');
    }
    signature.add(node.signatureKey);
  }
}

/** §7.1, §12.4.3.1: sorted, non-blank leaves below, known to every node between. */
function checkUnmergedLeaves(
  nodes: readonly (TreeNode | undefined)[],
  at: number,
  parent: Parent,
): void {
  for (const [position, leaf] of parent.unmergedLeaves.entries()) {
    const before = parent.unmergedLeaves[position - 1];
    const isSorted = before === undefined || before < leaf;
    if (!isSorted || !isWithin(leaf * 2, at) || nodes[leaf * 2]?.kind !== 'leaf') {
      throw invalid('unmerged_leaves are not sorted leaves below their node (RFC 9420 §12.4.3.1)');
    }
    for (const between of directPath(leaf * 2, nodes.length)) {
      if (between === at) break;
      const node = nodes[between];
      if (node?.kind === 'parent' && !node.unmergedLeaves.includes(leaf)) {
        throw invalid('a node between does not list an unmerged leaf (RFC 9420 §12.4.3.1)');
      }
    }
  }
}

/**
 * §7.9.2: exactly one node below, through one of the two children, carries the hash of this parent,
 * and it is all there is on its side besides leaves that came later.
 */
function checkParentHash(tree: Tree, at: number, parent: Parent): void {
  const sides = [
    [leftOf(at), rightOf(at)],
    [rightOf(at), leftOf(at)],
  ] as const;
  const unmerged = new Set(parent.unmergedLeaves.map((leaf) => leaf * 2));
  const valid = sides.filter(([child, copathChild]) => {
    const members = resolution(tree.nodes, child);
    const [carrier, ...more] = members.filter((node) => !unmerged.has(node));
    const unmergedHere = [...unmerged].filter((node) => isWithin(node, child)).length;
    if (carrier === undefined || more.length > 0 || members.length !== unmergedHere + 1)
      return false;
    return carries(tree.nodes[carrier], parentHash(tree, parent, copathChild));
  });
  if (valid.length !== 1) throw invalid('a parent hash does not hold (RFC 9420 §7.9.2)');
}

function carries(node: TreeNode | undefined, hash: Uint8Array): boolean {
  if (node === undefined) return false;
  if (node.kind === 'parent') return compare(node.parentHash, hash) === 0;
  const leaf = node.node;
  return leaf.leafNodeSource === 'commit' && compare(leaf.parentHash, hash) === 0;
}
