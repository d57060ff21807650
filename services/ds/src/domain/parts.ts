/** What one recipient gets: its own event, where it has one, in place of the shared event. */
export interface PartRecipient {
  readonly extra: Uint8Array;
}

export interface PartLimits {
  readonly recipientsMax: number;
  readonly bytesMax: number;
}

/**
 * Cuts the recipients of one event into parts. A shared event is no reason for a cut: it is in each
 * part whole. One recipient is never cut, so that a part may be larger by what one of them needs.
 */
export function cutParts<Recipient extends PartRecipient>(
  recipients: readonly Recipient[],
  { recipientsMax, bytesMax }: PartLimits,
): Recipient[][] {
  const parts: Recipient[][] = [];
  let part: Recipient[] = [];
  let bytes = 0;
  for (const recipient of recipients) {
    const size = RECIPIENT_BYTES + recipient.extra.length;
    const isFull = part.length === recipientsMax || bytes + size > bytesMax;
    if (part.length > 0 && isFull) {
      parts.push(part);
      part = [];
      bytes = 0;
    }
    part.push(recipient);
    bytes += size;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

/** Handle, push key, and the length of the rest. */
const RECIPIENT_BYTES = 68;
