import { directPath, isLeafNode, isWithin, leftOf, rightOf, siblingOf } from './tree-math.ts';
import { leafHashInput, parentHashInput, parentHashTreeInput } from './tree-node.ts';
import type { Parent, TreeNode } from './tree-node.ts';
import type { TreeView } from './tree.ts';

type Nodes = readonly (TreeNode | undefined)[];

/** The nodes that stand for a subtree when something is encrypted to it (RFC 9420 §4.1.1). */
export function resolution(nodes: Nodes, node: number): number[] {
  const found: number[] = [];
  const visit = (at: number): void => {
    const here = nodes[at];
    if (here !== undefined) {
      found.push(at);
      if (here.kind === 'parent') for (const leaf of here.unmergedLeaves) found.push(leaf * 2);
    } else if (!isLeafNode(at)) {
      visit(leftOf(at));
      visit(rightOf(at));
    }
  };
  visit(node);
  return found;
}

export interface PathStep {
  readonly node: number;
  /** The child of `node` that does not lead to the leaf. */
  readonly copathChild: number;
  readonly resolution: readonly number[];
}

/** The ancestors of a leaf whose other child stands for somebody (RFC 9420 §4.1.2), upwards. */
export function filteredDirectPath(nodes: Nodes, leafIndex: number): PathStep[] {
  const steps: PathStep[] = [];
  let below = leafIndex * 2;
  for (const node of directPath(below, nodes.length)) {
    const copathChild = siblingOf(below);
    const others = resolution(nodes, copathChild);
    if (others.length > 0) steps.push({ node, copathChild, resolution: others });
    below = node;
  }
  return steps;
}

/** The parent hash that the child of `parent` on the path carries (RFC 9420 §7.9). */
export function parentHash(tree: TreeView, parent: Parent, copathChild: number): Uint8Array {
  const unmerged = new Set(parent.unmergedLeaves);
  const sibling = hashWithout(tree, copathChild, unmerged);
  return tree.suite.hash(parentHashInput(parent, sibling));
}

/** The hash that a subtree had before these leaves came (the "original" one of RFC 9420 §7.9). */
function hashWithout(tree: TreeView, node: number, leaves: ReadonlySet<number>): Uint8Array {
  let touched = false;
  for (const leaf of leaves) touched ||= isWithin(leaf * 2, node);
  if (!touched) return tree.hashOf(node);
  if (isLeafNode(node)) return tree.suite.hash(leafHashInput(node / 2, undefined));

  const here = tree.nodes[node];
  const parent = here?.kind === 'parent' ? here.withoutUnmerged(leaves) : undefined;
  const left = hashWithout(tree, leftOf(node), leaves);
  const right = hashWithout(tree, rightOf(node), leaves);
  return tree.suite.hash(parentHashTreeInput(parent, left, right));
}
