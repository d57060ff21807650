/**
 * Cuts a list into pieces that hold so many bytes at most, or one item that is larger. Of nothing there
 * is one empty piece: a delivery that is silenced makes the statements of any other.
 */
export function inPieces<T extends { readonly ciphertext: Uint8Array }>(
  items: readonly T[],
  bytesMax: number,
): T[][] {
  let piece: T[] = [];
  const pieces = [piece];
  let bytes = 0;
  for (const item of items) {
    bytes += item.ciphertext.length;
    if (bytes > bytesMax && piece.length > 0) {
      pieces.push((piece = []));
      bytes = item.ciphertext.length;
    }
    piece.push(item);
  }
  return pieces;
}
