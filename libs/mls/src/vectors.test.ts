import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { concat, fromHex, toHex } from '@roost/core/bytes';
import { encode } from '@roost/core/tls';
import { nodeCrypto } from '@roost/crypto/node';
import { decodeAuthenticatedContent } from 'ts-mls/authenticatedContent.js';
import { framedContentEncoder } from 'ts-mls/framedContent.js';
import { decodeProposal } from 'ts-mls/proposal.js';
import { applyProposals } from './proposals.ts';
import { SUITE_1 } from './provider.ts';
import { interimHash } from './public-group.ts';
import { decodeTree, encodeTree } from './ratchet-tree.ts';
import { suiteOf } from './suite.ts';
import { leftOf, level, parentOf, rightOf, rootOf, siblingOf } from './tree-math.ts';
import { resolution } from './tree-path.ts';
import { validateTree } from './tree-validation.ts';
import type { Tree } from './tree.ts';

/** The vectors of the MLS working group, as far as a server computes what they are about. */
const suite = suiteOf(nodeCrypto, SUITE_1);

interface TreeMath {
  readonly n_nodes: number;
  readonly root: number;
  readonly left: readonly (number | null)[];
  readonly right: readonly (number | null)[];
  readonly parent: readonly (number | null)[];
  readonly sibling: readonly (number | null)[];
}

vectors<TreeMath>('tree-math', (vector) => {
  const { n_nodes: size, root } = vector;
  expect(rootOf(size)).toBe(root);
  for (let node = 0; node < size; node++) {
    const hasChildren = level(node) > 0;
    expect(hasChildren ? leftOf(node) : null).toBe(vector.left[node]);
    expect(hasChildren ? rightOf(node) : null).toBe(vector.right[node]);
    expect(node === root ? null : parentOf(node)).toBe(vector.parent[node]);
    expect(node === root ? null : siblingOf(node)).toBe(vector.sibling[node]);
  }
});

interface TreeValidation {
  readonly tree: string;
  readonly group_id: string;
  readonly resolutions: readonly (readonly number[])[];
  readonly tree_hashes: readonly string[];
}

vectors<TreeValidation>('tree-validation', (vector) => {
  const tree = decodeTree(suite, bytes(vector.tree));
  expect(vector.tree_hashes).toEqual(tree.nodes.map((_, node) => toHex(tree.hashOf(node))));
  expect(vector.resolutions).toEqual(tree.nodes.map((_, node) => resolution(tree.nodes, node)));
  validateTree(tree, bytes(vector.group_id));
  expect(toHex(encodeTree(tree))).toBe(vector.tree);
});

interface TreeOperation {
  readonly proposal: string;
  readonly proposal_sender: number;
  readonly tree_before: string;
  readonly tree_after: string;
  readonly tree_hash_before: string;
  readonly tree_hash_after: string;
}

vectors<TreeOperation>('tree-operations', (vector) => {
  const before: Tree = decodeTree(suite, bytes(vector.tree_before));
  expect(toHex(before.rootHash())).toBe(vector.tree_hash_before);
  const proposal = decodeProposal(bytes(vector.proposal), 0)?.[0];
  if (proposal === undefined) throw new Error('the proposal decodes');
  const actor = { kind: 'member', leafIndex: vector.proposal_sender } as const;

  const diff = before.change();
  applyProposals(diff, [{ proposal, actor, ref: undefined }], []);
  const after = diff.finish();

  expect(toHex(after.rootHash())).toBe(vector.tree_hash_after);
  expect(toHex(encodeTree(after))).toBe(vector.tree_after);
  expect(toHex(before.rootHash())).toBe(vector.tree_hash_before);
});

interface Transcript {
  readonly authenticated_content: string;
  readonly interim_transcript_hash_before: string;
  readonly confirmed_transcript_hash_after: string;
  readonly interim_transcript_hash_after: string;
}

vectors<Transcript>('transcript-hashes', (vector) => {
  const tls = bytes(vector.authenticated_content);
  const decoded = decodeAuthenticatedContent(tls, 0)?.[0];
  if (decoded?.auth.contentType !== 'commit') throw new Error('the content is a commit');
  const content = tls.subarray(0, 2 + framedContentEncoder(decoded.content)[0]);
  const signature = encode((writer) => writer.opaque(decoded.auth.signature));

  const before = bytes(vector.interim_transcript_hash_before);
  const confirmed = suite.hash(concat(before, content, signature));

  expect(toHex(confirmed)).toBe(vector.confirmed_transcript_hash_after);
  expect(toHex(interimHash(suite, confirmed, decoded.auth.confirmationTag))).toBe(
    vector.interim_transcript_hash_after,
  );
});

function vectors<Vector>(name: string, check: (vector: Vector) => void): void {
  test(`the published vectors of ${name} come out`, () => {
    const file = new URL(`../vectors/${name}.json`, import.meta.url);
    const all: readonly Vector[] = JSON.parse(readFileSync(file, 'utf8'));
    expect(all).not.toHaveLength(0);
    for (const vector of all) check(vector);
  });
}

function bytes(hex: string): Uint8Array {
  const decoded = fromHex(hex);
  if (decoded === undefined) throw new Error('a vector is hex');
  return decoded;
}
