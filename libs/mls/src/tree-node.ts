import { assert } from '@roost/core/assert';
import { concat } from '@roost/core/bytes';
import { encode, Reader } from '@roost/core/tls';
import { decodeLeafNode, encodeLeafNode } from 'ts-mls/leafNode.js';
import type { LeafNode } from 'ts-mls/leafNode.js';

/** A non-blank node of a ratchet tree. Immutable, so that trees share it. */
export type TreeNode = Leaf | Parent;

const KEY_BYTES_MAX = 4096;
const CAPABILITIES_MAX = 1 << 16;
const LEAF_TYPE = 1;
const PARENT_TYPE = 2;

/**
 * A leaf as its own bytes, decoded when someone looks into it: a server that opens a group of a
 * thousand for one commit needs three or four of its leaves.
 */
export class Leaf {
  readonly kind = 'leaf';
  /** LeafNode (RFC 9420 §7.2). */
  readonly tls: Uint8Array;
  readonly encryptionKey: Uint8Array;
  readonly signatureKey: Uint8Array;
  #node: LeafNode | undefined;
  #support: Support | undefined;

  /** `tls` was validated before; `Leaf.of` is the door for what was not. */
  constructor(tls: Uint8Array) {
    const reader = new Reader(tls, 'leaf');
    this.tls = tls;
    this.encryptionKey = reader.opaque(KEY_BYTES_MAX);
    this.signatureKey = reader.opaque(KEY_BYTES_MAX);
  }

  static of(node: LeafNode): Leaf {
    return new Leaf(encodeLeafNode(node));
  }

  get node(): LeafNode {
    if (this.#node === undefined) {
      this.#node = decodeLeafNode(this.tls, 0)?.[0];
      assert(this.#node !== undefined, 'leaves in a tree decode');
    }
    return this.#node;
  }

  /** What the leaf says of itself in numbers; read without decoding the rest. */
  get support(): Support {
    this.#support ??= readSupport(this.tls);
    return this.#support;
  }
}

export interface Support {
  readonly credentialInUse: number;
  readonly credentials: readonly number[];
  readonly extensions: readonly number[];
  readonly proposals: readonly number[];
}

/** The front of a LeafNode: two keys, the credential, the capabilities (RFC 9420 §7.2). */
function readSupport(tls: Uint8Array): Support {
  const reader = new Reader(tls, 'leaf');
  reader.opaque(KEY_BYTES_MAX);
  reader.opaque(KEY_BYTES_MAX);
  const credentialInUse = reader.u16();
  reader.opaque(reader.remaining);
  const numbers = () => reader.vector(CAPABILITIES_MAX, (inner) => inner.u16());
  numbers(); // versions
  numbers(); // ciphersuites
  const [extensions, proposals, credentials] = [numbers(), numbers(), numbers()];
  return { credentialInUse, credentials, extensions, proposals };
}

/** A parent node (RFC 9420 §7.1). */
export class Parent {
  readonly kind = 'parent';
  readonly encryptionKey: Uint8Array;
  readonly parentHash: Uint8Array;
  /** Leaf indexes in increasing order. */
  readonly unmergedLeaves: readonly number[];
  #tls: Uint8Array | undefined;

  constructor(
    encryptionKey: Uint8Array,
    parentHash: Uint8Array,
    unmergedLeaves: readonly number[],
  ) {
    this.encryptionKey = encryptionKey;
    this.parentHash = parentHash;
    this.unmergedLeaves = unmergedLeaves;
  }

  get tls(): Uint8Array {
    this.#tls ??= encode((writer) => {
      writer.opaque(this.encryptionKey).opaque(this.parentHash);
      writer.vector(this.unmergedLeaves, (inner, leaf) => inner.u32(leaf));
    });
    return this.#tls;
  }

  withUnmerged(leaf: number): Parent {
    const unmerged = [...this.unmergedLeaves, leaf].toSorted((a, b) => a - b);
    return new Parent(this.encryptionKey, this.parentHash, unmerged);
  }

  withoutUnmerged(leaves: ReadonlySet<number>): Parent {
    if (!this.unmergedLeaves.some((leaf) => leaves.has(leaf))) return this;
    const unmerged = this.unmergedLeaves.filter((leaf) => !leaves.has(leaf));
    return new Parent(this.encryptionKey, this.parentHash, unmerged);
  }
}

/** `optional<Node>` as the ratchet_tree extension lists them (RFC 9420 §12.4.3.3). */
export function encodeNode(node: TreeNode | undefined): Uint8Array {
  if (node === undefined) return BLANK;
  return concat(node.kind === 'leaf' ? LEAF_HEAD : PARENT_HEAD, node.tls);
}

const BLANK = Uint8Array.of(0);
const LEAF_HEAD = Uint8Array.of(1, LEAF_TYPE);
const PARENT_HEAD = Uint8Array.of(1, PARENT_TYPE);

/** TreeHashInput of a leaf (RFC 9420 §7.8). */
export function leafHashInput(leafIndex: number, leaf: Leaf | undefined): Uint8Array {
  const tls = leaf?.tls;
  const input = new Uint8Array(6 + (tls?.length ?? 0));
  input[0] = LEAF_TYPE;
  new DataView(input.buffer).setUint32(1, leafIndex);
  if (tls !== undefined) {
    input[5] = 1;
    input.set(tls, 6);
  }
  return input;
}

/** TreeHashInput of a parent. */
export function parentHashTreeInput(
  parent: Parent | undefined,
  left: Uint8Array,
  right: Uint8Array,
): Uint8Array {
  const head = parent === undefined ? BLANK_PARENT_TREE_HEAD : PARENT_TREE_HEAD;
  const body = parent?.tls ?? BLANK.subarray(1);
  // A hash of up to 63 bytes has a length of one byte; that of SHA-512 has two.
  if (left.length < 64) {
    return concat(head, body, Uint8Array.of(left.length), left, Uint8Array.of(right.length), right);
  }
  return concat(
    head,
    body,
    encode((writer) => writer.opaque(left).opaque(right)),
  );
}

const PARENT_TREE_HEAD = Uint8Array.of(PARENT_TYPE, 1);
const BLANK_PARENT_TREE_HEAD = Uint8Array.of(PARENT_TYPE, 0);

/** ParentHashInput (RFC 9420 §7.9) of a parent, with the tree hash of its child off the path. */
export function parentHashInput(parent: Parent, originalSiblingTreeHash: Uint8Array): Uint8Array {
  return encode((writer) => {
    writer.opaque(parent.encryptionKey).opaque(parent.parentHash).opaque(originalSiblingTreeHash);
  });
}
