import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import type { Ear } from './ear.ts';

/** What was answered for an accepted event, so that its sender gets the same again. */
export interface Answer {
  /** The epoch that it led to, or was accepted in. */
  readonly epoch: bigint;
  readonly acceptedAtMs: bigint;
  /** The leaf key of the sender. */
  readonly sender: Uint8Array;
  /** So many proposals of the hub followed, at the beginning of the log of that epoch. */
  readonly followed?: number;
}

/** The name of an MLS message among the answers. */
export function messageDigest(crypto: Crypto, ear: Ear, tls: Uint8Array): Uint8Array<ArrayBuffer> {
  return ear.digest('message', crypto.sha256(tls));
}

export function sealAnswer(ear: Ear, digest: Uint8Array, answer: Answer): Uint8Array<ArrayBuffer> {
  const content = encode((writer) =>
    writer
      .u64(answer.epoch)
      .u64(answer.acceptedAtMs)
      .fixed(answer.sender)
      .u16(answer.followed ?? 0),
  );
  return ear.seal({ kind: 'accepted', digest }, content);
}

/** Refuses a message that another member sent before: it is delivered already. */
export function openAnswer(
  ear: Ear,
  digest: Uint8Array,
  sealed: Uint8Array,
  sender: Uint8Array,
): Required<Answer> {
  const content = ear.open({ kind: 'accepted', digest }, sealed);
  if (content === undefined) throw new Failure('NOT_ALLOWED', 'this message was sent before');
  const answer = decodeAll(content, 'answer', (reader) => ({
    epoch: reader.u64(),
    acceptedAtMs: reader.u64(),
    sender: reader.fixed(KEY_BYTES),
    followed: reader.u16(),
  }));
  if (!equal(answer.sender, sender)) {
    throw new Failure('NOT_ALLOWED', 'another member sent this message before');
  }
  return answer;
}

const KEY_BYTES = 32;
