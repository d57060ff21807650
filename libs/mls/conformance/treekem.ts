import { toHex } from '@roost/core/bytes';
import { same, sameValue, vectorBytes, vectorKind } from '@roost/core/vectors';
import { applyUpdatePathSecret } from 'ts-mls/createCommit.js';
import type { CiphersuiteImpl } from 'ts-mls/crypto/ciphersuite.js';
import { deriveSecret } from 'ts-mls/crypto/kdf.js';
import type { GroupContext } from 'ts-mls/groupContext.js';
import { getCommitSecret } from 'ts-mls/pathSecrets.js';
import type { PrivateKeyPath } from 'ts-mls/privateKeyPath.js';
import { decodeRatchetTree, encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import type { RatchetTree } from 'ts-mls/ratchetTree.js';
import { treeHashRoot } from 'ts-mls/treeHash.js';
import { toLeafIndex } from 'ts-mls/treemath.js';
import type { NodeIndex } from 'ts-mls/treemath.js';
import {
  applyUpdatePath,
  createUpdatePath,
  decodeUpdatePath,
  encodeUpdatePath,
} from 'ts-mls/updatePath.js';
import type { UpdatePath } from 'ts-mls/updatePath.js';
import { decodeStrict } from '../src/message.ts';
import { decodeTree } from '../src/ratchet-tree.ts';
import type { Suite } from '../src/suite.ts';
import { validateTree } from '../src/tree-validation.ts';
import type { Tree } from '../src/tree.ts';
import { applyPath } from '../src/update-path.ts';
import { memberSuite, publicSuite, suiteName } from './suites.ts';

/** Paths: their public side by our tree and our checks, their secrets by members. */

const NOBODY: NodeIndex[] = [];

interface TreeKem {
  readonly cipher_suite: number;
  readonly group_id: string;
  readonly epoch: number;
  readonly confirmed_transcript_hash: string;
  readonly ratchet_tree: string;
  readonly leaves_private: readonly {
    readonly index: number;
    readonly encryption_priv: string;
    readonly signature_priv: string;
    readonly path_secrets: readonly { readonly node: number; readonly path_secret: string }[];
  }[];
  readonly update_paths: readonly {
    readonly sender: number;
    readonly update_path: string;
    readonly path_secrets: readonly (string | null)[];
    readonly commit_secret: string;
    readonly tree_hash_after: string;
  }[];
}

/** The group of a vector, as the server and as its members see it. */
interface Group {
  readonly suite: CiphersuiteImpl;
  readonly tree: Tree;
  readonly memberTree: RatchetTree;
  readonly members: ReadonlyMap<number, Member>;
  /** Without the tree hash, which each path brings. */
  readonly context: GroupContext;
}

interface Member {
  readonly keys: PrivateKeyPath;
  readonly signatureKey: Uint8Array;
}

/** A path from one member, and what it leads to. */
interface Path {
  readonly sender: number;
  readonly path: UpdatePath;
  readonly treeHash: string;
  readonly commitSecret: string;
}

export const treekem = vectorKind<TreeKem>(
  'treekem',
  ['ratchet_tree', 'leaves_private', 'update_paths'],
  async (vector) => {
    const group = await groupOf(vector);
    validateTree(group.tree, group.context.groupId);
    for (const each of vector.update_paths) {
      const tls = vectorBytes(each.update_path);
      const path = decodeStrict(tls, 'UpdatePath', decodeUpdatePath, encodeUpdatePath);
      const [commitSecret, treeHash] = [each.commit_secret, each.tree_hash_after];
      const secrets = await follow(group, { sender: each.sender, path, commitSecret, treeHash });
      for (const [leaf, secret] of secrets) {
        const published = each.path_secrets[leaf];
        sameValue(`the path secret of ${leaf}`, toHex(secret), published);
      }
      await follow(group, await makePath(group, each.sender));
    }
  },
);

/**
 * The published leaves list suites 1 to 6 among their capabilities, also where their own is 7, which
 * a server refuses: for these vectors suite 7 goes by a name that they list.
 */
function listedSuite(number: number): Suite {
  return { ...publicSuite(number), name: suiteName(Math.min(number, 6)) };
}

async function groupOf(vector: TreeKem): Promise<Group> {
  const suite = await memberSuite(vector.cipher_suite);
  const treeTls = vectorBytes(vector.ratchet_tree);
  const tree = decodeTree(listedSuite(vector.cipher_suite), treeTls);
  const memberTree = decodeStrict(treeTls, 'tree', decodeRatchetTree, encodeRatchetTree);
  const members = new Map<number, Member>();
  for (const leaf of vector.leaves_private) {
    const privateKeys: Record<number, Uint8Array> = {
      [leaf.index * 2]: vectorBytes(leaf.encryption_priv),
    };
    for (const { node, path_secret: secret } of leaf.path_secrets) {
      const nodeSecret = await deriveSecret(vectorBytes(secret), 'node', suite.kdf);
      const pair = await suite.hpke.deriveKeyPair(nodeSecret);
      const known = tree.nodes[node]?.encryptionKey ?? new Uint8Array(0);
      const derived = await suite.hpke.exportPublicKey(pair.publicKey);
      same(`the key of node ${node}`, derived, toHex(known));
      privateKeys[node] = await suite.hpke.exportPrivateKey(pair.privateKey);
    }
    const signatureKey = vectorBytes(leaf.signature_priv);
    members.set(leaf.index, { keys: { leafIndex: leaf.index, privateKeys }, signatureKey });
  }
  const context: GroupContext = {
    version: 'mls10',
    cipherSuite: suite.name,
    groupId: vectorBytes(vector.group_id),
    epoch: BigInt(vector.epoch),
    treeHash: new Uint8Array(0),
    confirmedTranscriptHash: vectorBytes(vector.confirmed_transcript_hash),
    extensions: [],
  };
  return { suite, tree, memberTree, members, context };
}

/** Takes a path as the server does and as every other member does; gives their path secrets. */
async function follow(
  { suite, tree, memberTree, members, context }: Group,
  { sender, path, treeHash, commitSecret }: Path,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const diff = tree.change();
  const from = { groupId: context.groupId, leafIndex: sender, added: [], isExternal: false };
  applyPath(diff, path, from);
  same('the tree hash after', diff.finish().rootHash(), treeHash);

  const index = toLeafIndex(sender);
  const after = await applyUpdatePath(memberTree, index, path, suite.hash);
  const next = { ...context, treeHash: vectorBytes(treeHash) };
  const secrets = new Map<number, Uint8Array>();
  for (const [leaf, { keys }] of members) {
    if (leaf === sender) continue;
    const { nodeIndex, pathSecret } = await applyUpdatePathSecret(
      memberTree,
      keys,
      index,
      next,
      path,
      NOBODY,
      suite,
    );
    const commit = await getCommitSecret(after, nodeIndex, pathSecret, suite.kdf);
    same(`the commit secret of ${leaf}`, commit, commitSecret);
    secrets.set(leaf, pathSecret);
  }
  return secrets;
}

/** A new path from a member of the vector, for the others to take. */
async function makePath(
  { suite, memberTree, members, context }: Group,
  sender: number,
): Promise<Path> {
  const member = members.get(sender);
  if (member === undefined) throw new Error('the sender of a path is no member');
  // The secrets of a path are sealed in the context of the next epoch, which is the vector's.
  const before = { ...context, epoch: context.epoch - 1n };
  const [tree, path, , , commitSecret] = await createUpdatePath(
    memberTree,
    toLeafIndex(sender),
    before,
    member.signatureKey,
    suite,
  );
  const treeHash = toHex(await treeHashRoot(tree, suite.hash));
  return { sender, path, treeHash, commitSecret: toHex(commitSecret) };
}
