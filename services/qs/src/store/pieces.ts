/** Cuts a list into pieces that hold so many bytes at most, or one item that is larger. */
export function inPieces<T extends { readonly ciphertext: Uint8Array }>(
  items: readonly T[],
  bytesMax: number,
): T[][] {
  const pieces: T[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    bytes += item.ciphertext.length;
    if (bytes > bytesMax) {
      pieces.push([]);
      bytes = item.ciphertext.length;
    }
    pieces.at(-1)?.push(item);
  }
  return pieces;
}
