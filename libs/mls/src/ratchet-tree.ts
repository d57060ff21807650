import { concat } from '@roost/core/bytes';
import { encode, Reader } from '@roost/core/tls';
import { decodeLeafNode, encodeLeafNode } from 'ts-mls/leafNode.js';
import { Walk } from './bytes-walk.ts';
import { decodeStrict, invalid } from './message.ts';
import { walkLeaf, walkParent } from './shape.ts';
import type { Suite } from './suite.ts';
import { Tally } from './tree-index.ts';
import { Leaf, encodeNode, Parent } from './tree-node.ts';
import type { TreeNode } from './tree-node.ts';
import { Tree } from './tree.ts';

/** Longer trees are refused: no group of ours comes near. */
const LEAVES_MAX = 1 << 16;
/** Entries of all lists of a tree: 65,000 leaves and their capabilities do not fit, 10,000 do. */
const ENTRIES_MAX = 1 << 18;

/** The tree as the ratchet_tree extension has it: `optional<Node> ratchet_tree<V>`. */
export function encodeTree(tree: Tree): Uint8Array<ArrayBuffer> {
  const last = tree.nodes.findLastIndex((node) => node !== undefined);
  const nodes = concat(...tree.nodes.slice(0, last + 1).map(encodeNode));
  return encode((writer) => writer.opaque(nodes));
}

/** Decodes a ratchet tree (RFC 9420 §12.4.3.3); `validateTree` judges what it says. */
export function decodeTree(suite: Suite, tls: Uint8Array): Tree {
  const nodes = readNodes(tls);
  if (nodes.at(-1) === undefined) {
    throw invalid('the ratchet tree ends in a blank node (RFC 9420 §12.4.3.3)');
  }
  let size = 1;
  while (size < nodes.length) size = size * 2 + 1;
  while (nodes.length < size) nodes.push(undefined);

  const tally = new Tally();
  for (const [at, node] of nodes.entries()) {
    if (node !== undefined && (node.kind === 'leaf') !== (at % 2 === 0)) {
      throw invalid('leaves and parents of the ratchet tree are mixed up (RFC 9420 §12.4.3.3)');
    }
    if (node?.kind === 'leaf') tally.add(node);
  }
  return new Tree(suite, nodes, { tally });
}

function readNodes(tree: Uint8Array): (TreeNode | undefined)[] {
  // A Buffer would hand out Buffers, whose `slice` does not copy.
  const tls = new Uint8Array(tree.buffer, tree.byteOffset, tree.byteLength);
  const walk = new Walk(tls, { what: 'ratchet tree', entriesMax: ENTRIES_MAX });
  const nodes: (TreeNode | undefined)[] = [];
  walk.list(LEAVES_MAX * 2, () => {
    let node: TreeNode | undefined;
    walk.optional(() => {
      node = readNode(tls, walk);
    });
    nodes.push(node);
  });
  walk.end();
  return nodes;
}

function readNode(tls: Uint8Array, walk: Walk): TreeNode {
  const type = walk.known(1, [1, 2], 'node type (RFC 9420 §7.1)');
  const from = walk.at;
  if (type === 2) {
    walkParent(walk);
    return readParent(tls.subarray(from, walk.at));
  }
  walkLeaf(walk);
  const leaf = new Leaf(tls.slice(from, walk.at));
  decodeStrict(leaf.tls, 'LeafNode', decodeLeafNode, encodeLeafNode);
  return leaf;
}

function readParent(tls: Uint8Array): Parent {
  const reader = new Reader(tls, 'parent node');
  const encryptionKey = reader.opaque(tls.length);
  const parentHash = reader.opaque(tls.length);
  return new Parent(
    encryptionKey,
    parentHash,
    reader.vector(LEAVES_MAX, (inner) => inner.u32()),
  );
}
