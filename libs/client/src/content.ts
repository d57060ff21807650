import { Failure } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';
import { padToLadder, unpad } from '@roost/crypto/sealed';

/**
 * What an application message holds (proto/README, "Content"). The id is drawn by the sender and
 * stays the same however often the message has to be encrypted anew.
 */
export type Content = { readonly messageId: Uint8Array } & (
  | { readonly kind: 'text'; readonly text: string }
  /** What lets the other one add us to groups. */
  | { readonly kind: 'friendship'; readonly token: Uint8Array; readonly key: Uint8Array }
  /** Its author, or somebody whose role may, wants a message gone. */
  | { readonly kind: 'delete'; readonly target: Uint8Array }
  /** There is to be another conversation between the two. */
  | { readonly kind: 'farewell' }
  /** Of a later version; kept out of sight, not refused. */
  | { readonly kind: 'unknown' }
);

export const MESSAGE_ID_BYTES = 16;
export const TEXT_BYTES_MAX = 256 * 1024 - 4096;

const VERSION = 1;
const KINDS = { text: 1, friendship: 2, delete: 3, farewell: 4 } as const;
const FRIENDSHIP_BYTES = 32;
const KiB = 1024;
/** Lengths that all messages have; the last leaves room below 256 KiB for what MLS adds. */
const LADDER = [256, KiB, 4 * KiB, 16 * KiB, 64 * KiB, 128 * KiB, 192 * KiB, 255 * KiB];

export function encodeContent(content: Exclude<Content, { kind: 'unknown' }>): Uint8Array {
  const encoded = encode((writer) => {
    writer.u16(VERSION).fixed(content.messageId).u8(KINDS[content.kind]);
    if (content.kind === 'text') writer.text(content.text);
    if (content.kind === 'delete') writer.fixed(content.target);
    if (content.kind === 'friendship') writer.fixed(content.token).fixed(content.key);
  });
  if (content.kind === 'text' && encoded.length > TEXT_BYTES_MAX) {
    throw new Failure('TOO_LARGE', `a message has at most ${TEXT_BYTES_MAX} bytes`);
  }
  return padToLadder(encoded, LADDER);
}

export function decodeContent(padded: Uint8Array): Content {
  return decodeAll(unpad(padded), 'content', (reader): Content => {
    reader.version(VERSION);
    const messageId = reader.fixed(MESSAGE_ID_BYTES);
    const kind = reader.u8();
    if (kind === KINDS.text) return { kind: 'text', messageId, text: reader.text(TEXT_BYTES_MAX) };
    if (kind === KINDS.friendship) {
      const [token, key] = [reader.fixed(FRIENDSHIP_BYTES), reader.fixed(FRIENDSHIP_BYTES)];
      return { kind: 'friendship', messageId, token, key };
    }
    if (kind === KINDS.delete) {
      return { kind: 'delete', messageId, target: reader.fixed(MESSAGE_ID_BYTES) };
    }
    if (kind === KINDS.farewell) return { kind: 'farewell', messageId };
    reader.fixed(reader.remaining);
    return { kind: 'unknown', messageId };
  });
}
