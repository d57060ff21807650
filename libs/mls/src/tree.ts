import { assert } from '@roost/core/assert';
import type { Suite } from './suite.ts';
import { KeySet, Tally } from './tree-index.ts';
import { directPath, isLeafNode, leftOf, level, rightOf, rootOf } from './tree-math.ts';
import type { Leaf, Parent, TreeNode } from './tree-node.ts';
import { leafHashInput, parentHashTreeInput } from './tree-node.ts';

type Nodes = readonly (TreeNode | undefined)[];
type Hashes = readonly (Uint8Array | undefined)[];

/** What can be asked of a tree, be it a settled one or one that a commit is changing. */
export interface TreeView {
  readonly suite: Suite;
  readonly nodes: Nodes;
  readonly tally: Tally;
  leafAt(leafIndex: number): Leaf | undefined;
  hashOf(node: number): Uint8Array;
}

/**
 * The public ratchet tree (RFC 9420 §7). Immutable: a commit changes a `TreeDiff`, which shares
 * every node and every cached hash that the commit does not touch.
 */
export class Tree implements TreeView {
  readonly suite: Suite;
  readonly nodes: Nodes;
  readonly tally: Tally;
  /** Filled as hashes are asked for; a hash is a function of nodes that never change. */
  readonly #hashes: (Uint8Array | undefined)[];
  #keys: Keys | undefined;

  constructor(suite: Suite, nodes: Nodes, index: TreeIndex) {
    assert(((nodes.length + 1) & nodes.length) === 0, 'a tree has 2^n - 1 nodes');
    this.suite = suite;
    this.nodes = nodes;
    this.tally = index.tally;
    this.#hashes = [...(index.hashes ?? [])];
    this.#keys = index.keys;
  }

  leafAt(leafIndex: number): Leaf | undefined {
    return leafIn(this.nodes, leafIndex);
  }

  /** The indexes of the members, ascending. */
  leafIndexes(): number[] {
    const indexes: number[] = [];
    for (let node = 0; node < this.nodes.length; node += 2) {
      if (this.nodes[node] !== undefined) indexes.push(node / 2);
    }
    return indexes;
  }

  hashOf(node: number): Uint8Array {
    return hashIn(this.suite, this.nodes, this.#hashes, node);
  }

  /** The tree hash of the GroupContext (RFC 9420 §7.8). */
  rootHash(): Uint8Array {
    return this.hashOf(rootOf(this.nodes.length));
  }

  /** The hashes known so far, for a snapshot. */
  get knownHashes(): Hashes {
    return this.#hashes;
  }

  change(): TreeDiff {
    this.#keys ??= keysOf(this.nodes);
    return new TreeDiff(this.suite, [...this.nodes], {
      hashes: [...this.#hashes],
      tally: this.tally.copy(),
      keys: { encryption: this.#keys.encryption.copy(), signature: this.#keys.signature.copy() },
    });
  }
}

export interface TreeIndex {
  readonly tally: Tally;
  readonly hashes?: Hashes;
  readonly keys?: Keys;
}

export interface Keys {
  readonly encryption: KeySet;
  readonly signature: KeySet;
}

/** A tree while a commit changes it. Thrown away where the commit is refused. */
export class TreeDiff implements TreeView {
  readonly suite: Suite;
  readonly nodes: (TreeNode | undefined)[];
  readonly tally: Tally;
  readonly keys: Keys;
  readonly #hashes: (Uint8Array | undefined)[];

  constructor(
    suite: Suite,
    nodes: (TreeNode | undefined)[],
    index: Required<TreeIndex> & { readonly hashes: (Uint8Array | undefined)[] },
  ) {
    this.suite = suite;
    this.nodes = nodes;
    this.tally = index.tally;
    this.keys = index.keys;
    this.#hashes = index.hashes;
  }

  leafAt(leafIndex: number): Leaf | undefined {
    return leafIn(this.nodes, leafIndex);
  }

  hashOf(node: number): Uint8Array {
    return hashIn(this.suite, this.nodes, this.#hashes, node);
  }

  /** Puts a leaf into the place of another, and blanks what lies above it (RFC 9420 §12.1.2). */
  updateLeaf(leafIndex: number, leaf: Leaf): void {
    this.blankPath(leafIndex);
    this.#set(leafIndex * 2, leaf);
  }

  /** Takes a leaf out and cuts off right halves that hold nobody any more (RFC 9420 §12.1.3). */
  removeLeaf(leafIndex: number): void {
    this.blankPath(leafIndex);
    this.#set(leafIndex * 2, undefined);
    for (let root = rootOf(this.nodes.length); this.nodes.length > 1; root = rootOf(root)) {
      for (let node = root + 1; node < this.nodes.length; node += 2) {
        if (this.nodes[node] !== undefined) return;
      }
      this.#set(root, undefined);
      this.nodes.length = root;
      this.#hashes.length = Math.min(this.#hashes.length, root);
      // `root` is now the number of nodes left.
    }
  }

  /** Puts a leaf into the leftmost blank place and marks it as unmerged above (RFC 9420 §12.1.1). */
  addLeaf(leaf: Leaf): number {
    let node = 0;
    while (node < this.nodes.length && this.nodes[node] !== undefined) node += 2;
    if (node >= this.nodes.length) {
      node = this.nodes.length + 1;
      this.nodes.push(...Array.from({ length: node }, () => undefined));
    }
    for (const above of directPath(node, this.nodes.length)) {
      const parent = this.nodes[above];
      if (parent?.kind === 'parent') this.#replaceParent(above, parent.withUnmerged(node / 2));
    }
    this.#set(node, leaf);
    return node / 2;
  }

  blankPath(leafIndex: number): void {
    for (const node of directPath(leafIndex * 2, this.nodes.length)) this.#set(node, undefined);
  }

  setParent(node: number, parent: Parent): void {
    this.#set(node, parent);
  }

  /** Replaces a leaf without touching what lies above it: the last step of an UpdatePath. */
  setLeaf(leafIndex: number, leaf: Leaf): void {
    this.#set(leafIndex * 2, leaf);
  }

  finish(): Tree {
    const { tally, keys } = this;
    return new Tree(this.suite, this.nodes, { tally, keys, hashes: this.#hashes });
  }

  #set(node: number, next: TreeNode | undefined): void {
    const before = this.nodes[node];
    if (before === next) return;
    if (before !== undefined) this.keys.encryption.delete(before.encryptionKey);
    if (before?.kind === 'leaf') {
      this.keys.signature.delete(before.signatureKey);
      this.tally.remove(before);
    }
    if (next !== undefined) this.keys.encryption.add(next.encryptionKey);
    if (next?.kind === 'leaf') {
      this.keys.signature.add(next.signatureKey);
      this.tally.add(next);
    }
    this.nodes[node] = next;
    this.#forgetHashes(node);
  }

  #replaceParent(node: number, parent: Parent): void {
    this.nodes[node] = parent;
    this.#forgetHashes(node);
  }

  #forgetHashes(node: number): void {
    this.#hashes[node] = undefined;
    for (const above of directPath(node, this.nodes.length)) this.#hashes[above] = undefined;
  }
}

function hashIn(
  suite: Suite,
  nodes: Nodes,
  hashes: (Uint8Array | undefined)[],
  node: number,
): Uint8Array {
  const known = hashes[node];
  if (known !== undefined) return known;
  const hash = suite.hash(hashInput(suite, nodes, hashes, node));
  hashes[node] = hash;
  return hash;
}

function hashInput(
  suite: Suite,
  nodes: Nodes,
  hashes: (Uint8Array | undefined)[],
  node: number,
): Uint8Array {
  const here = nodes[node];
  if (isLeafNode(node)) {
    return leafHashInput(node / 2, here?.kind === 'leaf' ? here : undefined);
  }
  assert(level(node) < 31, 'a tree has less than 2^31 leaves');
  const left = hashIn(suite, nodes, hashes, leftOf(node));
  const right = hashIn(suite, nodes, hashes, rightOf(node));
  return parentHashTreeInput(here?.kind === 'parent' ? here : undefined, left, right);
}

function leafIn(nodes: Nodes, leafIndex: number): Leaf | undefined {
  const node = nodes[leafIndex * 2];
  return node?.kind === 'leaf' ? node : undefined;
}

function keysOf(nodes: Nodes): Keys {
  const encryption = new KeySet();
  const signature = new KeySet();
  for (const node of nodes) {
    if (node !== undefined) encryption.add(node.encryptionKey);
    if (node?.kind === 'leaf') signature.add(node.signatureKey);
  }
  return { encryption: encryption.copy(), signature: signature.copy() };
}
