import { sameValue, same, vectorBytes, vectorKind } from '@roost/core/vectors';
import { decodeProposal, encodeProposal } from 'ts-mls/proposal.js';
import { decodeStrict } from '../src/message.ts';
import { applyProposals } from '../src/proposals.ts';
import { decodeTree, encodeTree } from '../src/ratchet-tree.ts';
import { leftOf, level, parentOf, rightOf, rootOf, siblingOf } from '../src/tree-math.ts';
import { resolution } from '../src/tree-path.ts';
import { validateTree } from '../src/tree-validation.ts';
import { publicSuite } from './suites.ts';

/** What a server computes of trees: our own tree throughout. */

interface TreeMath {
  readonly n_leaves: number;
  readonly n_nodes: number;
  readonly root: number;
  readonly left: readonly (number | null)[];
  readonly right: readonly (number | null)[];
  readonly parent: readonly (number | null)[];
  readonly sibling: readonly (number | null)[];
}

export const treeMath = vectorKind<TreeMath>('tree-math', ['n_leaves', 'sibling'], (vector) => {
  const { n_leaves: leaves, n_nodes: size, root } = vector;
  sameValue('n_nodes', 2 * leaves - 1, size);
  sameValue('root', rootOf(size), root);
  for (let node = 0; node < size; node++) {
    const hasChildren = level(node) > 0;
    sameValue(`left of ${node}`, hasChildren ? leftOf(node) : null, vector.left[node]);
    sameValue(`right of ${node}`, hasChildren ? rightOf(node) : null, vector.right[node]);
    sameValue(`parent of ${node}`, node === root ? null : parentOf(node), vector.parent[node]);
    sameValue(`sibling of ${node}`, node === root ? null : siblingOf(node), vector.sibling[node]);
  }
});

interface TreeValidation {
  readonly cipher_suite: number;
  readonly tree: string;
  readonly group_id: string;
  readonly resolutions: readonly (readonly number[])[];
  readonly tree_hashes: readonly string[];
}

export const treeValidation = vectorKind<TreeValidation>(
  'tree-validation',
  ['tree', 'group_id', 'resolutions', 'tree_hashes'],
  (vector) => {
    const tree = decodeTree(publicSuite(vector.cipher_suite), vectorBytes(vector.tree));
    sameValue('the number of nodes', tree.nodes.length, vector.tree_hashes.length);
    for (const node of tree.nodes.keys()) {
      same(`the hash of node ${node}`, tree.hashOf(node), vector.tree_hashes[node] ?? '');
      const resolved = resolution(tree.nodes, node);
      sameValue(`the resolution of node ${node}`, resolved, vector.resolutions[node]);
    }
    validateTree(tree, vectorBytes(vector.group_id));
    same('the tree encoded again', encodeTree(tree), vector.tree);
  },
);

interface TreeOperation {
  readonly cipher_suite: number;
  readonly proposal: string;
  readonly proposal_sender: number;
  readonly tree_before: string;
  readonly tree_after: string;
  readonly tree_hash_before: string;
  readonly tree_hash_after: string;
}

export const treeOperations = vectorKind<TreeOperation>(
  'tree-operations',
  ['proposal', 'proposal_sender', 'tree_before', 'tree_after'],
  (vector) => {
    const before = decodeTree(publicSuite(vector.cipher_suite), vectorBytes(vector.tree_before));
    same('the hash before', before.rootHash(), vector.tree_hash_before);
    const tls = vectorBytes(vector.proposal);
    const proposal = decodeStrict(tls, 'proposal', decodeProposal, encodeProposal);
    const actor = { kind: 'member', leafIndex: vector.proposal_sender } as const;

    const diff = before.change();
    applyProposals(diff, [{ proposal, actor, ref: undefined }], []);
    const after = diff.finish();

    same('the hash after', after.rootHash(), vector.tree_hash_after);
    same('the tree after', encodeTree(after), vector.tree_after);
    same('the hash before, afterwards', before.rootHash(), vector.tree_hash_before);
  },
);
