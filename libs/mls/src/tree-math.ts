/**
 * The array form of a ratchet tree (RFC 9420 appendix C). Leaf `i` is node `2i`; `size` is the
 * number of nodes, always one less than a power of two.
 */

export function level(node: number): number {
  return 31 - Math.clz32(~node & (node + 1));
}

export function isLeafNode(node: number): boolean {
  return node % 2 === 0;
}

export function rootOf(size: number): number {
  return (size - 1) / 2;
}

export function leftOf(node: number): number {
  return node ^ (1 << (level(node) - 1));
}

export function rightOf(node: number): number {
  return node ^ (3 << (level(node) - 1));
}

export function parentOf(node: number): number {
  const at = level(node);
  return (node | (1 << at)) & ~(1 << (at + 1));
}

export function siblingOf(node: number): number {
  const parent = parentOf(node);
  return node < parent ? rightOf(parent) : leftOf(parent);
}

/** The ancestors of a node, from its parent to the root. */
export function directPath(node: number, size: number): number[] {
  const path: number[] = [];
  const root = rootOf(size);
  for (let at = node; at !== root;) {
    at = parentOf(at);
    path.push(at);
  }
  return path;
}

/** Whether `node` lies at or below `ancestor`. */
export function isWithin(node: number, ancestor: number): boolean {
  const reach = (1 << level(ancestor)) - 1;
  return node >= ancestor - reach && node <= ancestor + reach;
}
