import { beforeAll, describe, expect, test } from '@jest/globals';
import { concat, utf8 } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { encode } from '@roost/core/tls';
import { nodeCrypto } from '@roost/crypto/node';
import type { Extension } from 'ts-mls/extension.js';
import type { GroupInfo } from 'ts-mls/groupInfo.js';
import type { LeafNodeData } from 'ts-mls/leafNode.js';
import { identityOf } from './key-package.ts';
import { parseGroupInfo } from './message.ts';
import {
  createPublicGroup,
  groupExtension,
  leafOf,
  membersOf,
  roomOf,
  treeBytes,
} from './public-group.ts';
import type { PublicGroup } from './public-group.ts';
import { encodeTree } from './ratchet-tree.ts';
import { forgeGroupInfo } from './testing-forge.ts';
import { failureOf, makeScene, roomExtension } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { deliver } from './testing.ts';
import { encodeNode, Leaf, Parent } from './tree-node.ts';
import type { Tree, TreeDiff } from './tree.ts';

/** The scene after a renewed its path, so that the tree has parents. */
let scene: TestScene;
let group: PublicGroup;

beforeAll(async () => {
  scene = await makeScene(nodeCrypto);
  const { a, b, c, update } = scene;
  group = await deliver(scene.group, update, a, { members: [b, c] });
});

test('a group is opened from its GroupInfo and tree, and says what is in it', () => {
  const opened = open(group.groupInfoTls, treeBytes(group));

  expect(opened.contextTls).toEqual(group.contextTls);
  expect(opened.interimTranscriptHash).toEqual(group.interimTranscriptHash);
  expect(membersOf(opened)).toEqual([0, 1, 2]);
  const leaf = leafOf(opened, 1);
  expect(leaf && identityOf(leaf)).toEqual(utf8('b'));
  expect(leafOf(opened, 3)).toBeUndefined();
  expect(roomOf(opened)).toMatchObject({ kind: 'group', sealedTitle: utf8('title') });
  expect(groupExtension(opened, 0xf1ff)).toBeUndefined();
});

test('a group without a room state says so', () => {
  const bare = { ...group, context: { ...group.context, extensions: [] } };
  expect(failureOf(() => roomOf(bare)).message).toBe('the group has no room state');
});

describe('§12.4.3.1: a group is not opened from', () => {
  test.each<[what: string, tls: (tree: Uint8Array) => Uint8Array]>([
    ['a tree of another group', () => concat(Uint8Array.of(0))],
    ['a tree with bytes behind it', (tree) => concat(tree, Uint8Array.of(0))],
    ['a tree that is cut', (tree) => tree.subarray(0, -1)],
  ])('%s', (_, change) => {
    const tls = change(treeBytes(group));
    expect(failureOf(() => open(group.groupInfoTls, tls)).reason).toBe('INVALID_MLS');
  });

  test('a tree that ends in a blank node', () => {
    const failure = failureOf(() => open(group.groupInfoTls, longer(treeBytes(group))));
    expect(failure.message).toBe('the ratchet tree ends in a blank node (RFC 9420 §12.4.3.3)');
  });

  test('a GroupInfo of another tree', () => {
    const failure = failureOf(() => open(group.groupInfoTls, treeBytes(scene.group)));
    expect(failure.message).toBe(
      'the ratchet tree is not that of the GroupInfo (RFC 9420 §12.4.3.1)',
    );
  });

  test('a GroupInfo that its signer did not sign', async () => {
    const groupInfo = await forgeGroupInfo(scene.b, group.groupInfoTls, {});
    const failure = failureOf(() => open(groupInfo, treeBytes(group)));
    expect(failure.reason).toBe('GROUP_INFO_MISMATCH');
  });

  const UNMERGED = 'unmerged_leaves are not sorted leaves below their node (RFC 9420 §12.4.3.1)';
  test.each<[what: string, says: string, change: (diff: TreeDiff) => void]>([
    [
      'leaves that are not theirs',
      'the signature of a leaf does not hold (RFC 9420 §7.3)',
      (diff) => swapLeaves(diff),
    ],
    [
      'an encryption key twice',
      'an encryption key appears twice in the tree (RFC 9420 §12.4.3.1)',
      (diff) => diff.setParent(1, parentWith(diff, 0)),
    ],
    ['an unmerged leaf elsewhere', UNMERGED, (diff) => diff.setParent(1, unmerged(diff, [2]))],
    ['an unmerged leaf that is blank', UNMERGED, (diff) => diff.setParent(3, unmerged(diff, [3]))],
    ['unmerged leaves out of order', UNMERGED, (diff) => diff.setParent(3, unmerged(diff, [2, 1]))],
    [
      'an unmerged leaf unknown between',
      'a node between does not list an unmerged leaf (RFC 9420 §12.4.3.1)',
      (diff) => diff.setParent(3, unmerged(diff, [1])),
    ],
    [
      'a parent of other keys',
      'a parent hash does not hold (RFC 9420 §7.9.2)',
      (diff) => diff.setParent(3, strangeParent()),
    ],
    [
      'a leaf key of low order',
      'a key is none that anybody could encrypt to (RFC 9420 §5.1)',
      (diff) => diff.setLeaf(1, leafLike(diff, { hpkePublicKey: new Uint8Array(32) })),
    ],
    [
      'a leaf for another suite',
      "a leaf does not list the group's version and ciphersuite (RFC 9420 §7.2)",
      (diff) => diff.setLeaf(1, leafLike(diff, { capabilities: NONE })),
    ],
    [
      'a parent key that is short',
      'an encryption key has the wrong length (RFC 9420 §5.1)',
      (diff) => diff.setParent(3, new Parent(utf8('short'), new Uint8Array(32), [])),
    ],
    [
      'a parent above nobody',
      'a parent hash does not hold (RFC 9420 §7.9.2)',
      (diff) => diff.setParent(5, strangeParent()),
    ],
  ])('a tree with %s, signed by a member', async (_, says, change) => {
    const diff = group.tree.change();
    change(diff);
    const { groupInfo, tls } = await withTree(diff.finish());
    expect(failureOf(() => open(groupInfo, tls)).message).toBe(says);
  });

  test.each<[what: string, says: string, extensions: Extension[]]>([
    [
      'two rooms',
      'the group has an extension twice (RFC 9420 §11)',
      [roomExtension('x'), roomExtension('y')],
    ],
    [
      'an extension that nobody supports',
      'a member does not support an extension of the group (RFC 9420 §13.4)',
      [{ extensionType: 0xf1ff, extensionData: utf8('') }],
    ],
  ])('a GroupInfo with %s, signed by a member', async (_, says, extensions) => {
    const { groupContext } = parseGroupInfo(group.groupInfoTls);
    const groupInfo = await forgeGroupInfo(scene.a, group.groupInfoTls, {
      groupContext: { ...groupContext, extensions },
    });
    expect(failureOf(() => open(groupInfo, treeBytes(group))).message).toBe(says);
  });

  test('a tree with a leaf that expired', () => {
    const late = Date.now() + 31 * DAY_MS;
    const run = () => createPublicGroup(nodeCrypto, group.groupInfoTls, treeBytes(group), late);
    expect(failureOf(run).message).toBe('a KeyPackage is not valid at this time (RFC 9420 §7.2)');
  });

  test('a tree with a signature key twice', async () => {
    const diff = group.tree.change();
    diff.setLeaf(2, sameSigner(diff));
    const { groupInfo, tls } = await withTree(diff.finish());
    expect(failureOf(() => open(groupInfo, tls)).message).toBe(
      'two members have the same signature key (RFC 9420 §7.3)',
    );
  });

  test('a tree with a parent in the place of a leaf', () => {
    const [leaf] = group.tree.nodes;
    const nodes = concat(encodeNode(undefined), encodeNode(leaf));
    const failure = failureOf(() =>
      open(
        group.groupInfoTls,
        encode((it) => it.opaque(nodes)),
      ),
    );
    expect(failure.message).toBe(
      'leaves and parents of the ratchet tree are mixed up (RFC 9420 §12.4.3.3)',
    );
  });

  test('a tree with a node that is neither leaf nor parent', () => {
    const { tls } = strangeParent();
    const nodes = concat(Uint8Array.of(1, 3), tls);
    const failure = failureOf(() =>
      open(
        group.groupInfoTls,
        encode((it) => it.opaque(nodes)),
      ),
    );
    expect(failure.message).toContain('node type');
  });

  test('a tree of a million places', () => {
    const tree = encode((it) => it.opaque(new Uint8Array(1_000_000)));
    expect(failureOf(() => open(group.groupInfoTls, tree)).message).toContain('too many entries');
  });

  test('a context of another suite', async () => {
    const { groupContext } = parseGroupInfo(group.groupInfoTls);
    const cipherSuite = 'MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448';
    const groupInfo = await forgeGroupInfo(scene.a, group.groupInfoTls, {
      groupContext: { ...groupContext, cipherSuite },
    });
    expect(failureOf(() => open(groupInfo, treeBytes(group))).message).toBe(
      'the ciphersuite is not supported (RFC 9420 §17.1)',
    );
  });
});

function open(groupInfo: Uint8Array, tree: Uint8Array): PublicGroup {
  return createPublicGroup(nodeCrypto, groupInfo, tree, Date.now());
}

/** The tree, and a GroupInfo by a that vouches for it. */
async function withTree(tree: Tree) {
  const info: GroupInfo = parseGroupInfo(group.groupInfoTls);
  const groupContext = { ...info.groupContext, treeHash: tree.rootHash() };
  const groupInfo = await forgeGroupInfo(scene.a, group.groupInfoTls, { groupContext });
  return { groupInfo, tls: encodeTree(tree) };
}

/** The tree with a blank node behind its last one. */
function longer(tree: Uint8Array): Uint8Array {
  const length = ((tree[0] ?? 0) & 0x3f) * 256 + (tree[1] ?? 0) + 1;
  const head = Uint8Array.of(0x40 | (length >> 8), length & 0xff);
  return concat(head, tree.subarray(2), Uint8Array.of(0));
}

function swapLeaves(diff: TreeDiff): void {
  const [b, c] = [leafAt(diff, 1), leafAt(diff, 2)];
  diff.setLeaf(1, c);
  diff.setLeaf(2, b);
  // Leaves by KeyPackage are signed for no place: the one of a is, and it is not a's.
  const a = leafAt(diff, 0);
  diff.setLeaf(0, Leaf.of({ ...a.node, signaturePublicKey: nodeCrypto.random(32) }));
}

const NONE = { versions: [], ciphersuites: [], extensions: [], proposals: [], credentials: [] };

/** The leaf of b with parts replaced, not signed again. */
function leafLike(diff: TreeDiff, forged: Partial<LeafNodeData>): Leaf {
  return Leaf.of({ ...leafAt(diff, 1).node, ...forged });
}

function sameSigner(diff: TreeDiff): Leaf {
  const { signaturePublicKey } = leafAt(diff, 1).node;
  return Leaf.of({ ...leafAt(diff, 2).node, signaturePublicKey });
}

function parentWith(diff: TreeDiff, leafIndex: number): Parent {
  return new Parent(leafAt(diff, leafIndex).encryptionKey, new Uint8Array(0), []);
}

function unmerged(diff: TreeDiff, leaves: readonly number[]): Parent {
  const root = diff.nodes[3];
  if (root?.kind !== 'parent') throw new Error('the root has a key');
  return new Parent(nodeCrypto.random(32), root.parentHash, leaves);
}

function strangeParent(): Parent {
  return new Parent(nodeCrypto.random(32), new Uint8Array(0), []);
}

function leafAt(diff: TreeDiff, leafIndex: number): Leaf {
  const leaf = diff.leafAt(leafIndex);
  if (leaf === undefined) throw new Error('there is a leaf');
  return leaf;
}
