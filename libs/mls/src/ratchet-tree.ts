import { concat } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { encode, Reader } from '@roost/core/tls';
import { decodeLeafNode } from 'ts-mls/leafNode.js';
import { decodeStrict, invalid } from './message.ts';
import type { Suite } from './suite.ts';
import { Tally } from './tree-index.ts';
import { Leaf, encodeNode, Parent } from './tree-node.ts';
import type { TreeNode } from './tree-node.ts';
import { Tree } from './tree.ts';

/** Longer trees are refused: no group of ours comes near. */
const LEAVES_MAX = 1 << 16;

const KEY_BYTES_MAX = 4096;

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

function readNodes(tls: Uint8Array): (TreeNode | undefined)[] {
  try {
    const reader = new Reader(tls, 'ratchet tree');
    const list = new Reader(reader.opaque(tls.length), 'ratchet tree');
    reader.end();
    const nodes: (TreeNode | undefined)[] = [];
    while (list.remaining > 0) {
      if (nodes.length >= LEAVES_MAX * 2) throw invalid('the ratchet tree is too large');
      nodes.push(list.optional(readNode));
    }
    return nodes;
  } catch (error) {
    if (error instanceof Failure && error.reason === 'INVALID_MLS') throw error;
    throw new Failure('INVALID_MLS', 'the ratchet tree does not decode', {}, error);
  }
}

function readNode(reader: Reader): TreeNode {
  const type = reader.u8();
  if (type === 1) return readLeaf(reader);
  if (type !== 2) throw reader.refuse(`node type ${type} is unknown`);
  const encryptionKey = reader.opaque(KEY_BYTES_MAX);
  const parentHash = reader.opaque(KEY_BYTES_MAX);
  const unmerged = reader.vector(LEAVES_MAX, (inner) => inner.u32());
  return new Parent(encryptionKey, parentHash, unmerged);
}

/** A LeafNode has no length in front: it is walked through first, then decoded by its bytes. */
function readLeaf(reader: Reader): Leaf {
  const tls = encode((writer) => {
    const copy = (size: number) => {
      const bytes = reader.fixed(size);
      writer.fixed(bytes);
      return bytes;
    };
    const copyOpaque = () => writer.opaque(reader.opaque(reader.remaining));
    copyOpaque(); // encryption_key
    copyOpaque(); // signature_key
    copy(2); // credential type; of both types that there are, one vector follows
    copyOpaque();
    for (let list = 0; list < 5; list++) copyOpaque(); // capabilities
    const source = copy(1)[0];
    if (source === 1) copy(16);
    if (source === 3) copyOpaque();
    copyOpaque(); // extensions
    copyOpaque(); // signature
  });
  decodeStrict(tls, 'LeafNode', decodeLeafNode, (leaf) => Leaf.of(leaf).tls);
  return new Leaf(tls);
}
