import { Failure } from '@roost/core/failure';
import { writeScoped } from '@roost/core/ids';
import type { GroupId } from '@roost/core/ids';
import { encode } from '@roost/core/tls';
import { utf8 } from '@roost/core/bytes';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, padToLadder, sealRandom, unpad } from '@roost/crypto/sealed';

/** What lies below a group's EAR key, each bound to its place, so that rows cannot be exchanged. */
export type Place =
  | { readonly kind: 'roster'; readonly version: bigint }
  | { readonly kind: 'state'; readonly epoch: bigint }
  | { readonly kind: 'join-info'; readonly epoch: bigint }
  | { readonly kind: 'log'; readonly epoch: bigint; readonly position: number }
  | { readonly kind: 'accepted'; readonly digest: Uint8Array }
  | { readonly kind: 'reports' };

/** Encryption at rest for one group, by the key that its members hold and each request carries. */
export class Ear {
  readonly groupId: GroupId;
  readonly #crypto: Crypto;
  readonly #key: Uint8Array;
  readonly #digestKey: Uint8Array;

  constructor(crypto: Crypto, groupId: GroupId, key: Uint8Array) {
    if (key.length !== KEY_BYTES) {
      throw new Failure('MALFORMED', `ear_key: is not ${KEY_BYTES} bytes long`, {
        field: 'ear_key',
      });
    }
    this.groupId = groupId;
    this.#crypto = crypto;
    this.#key = key;
    this.#digestKey = crypto.hmacSha256(key, DIGEST_LABEL);
  }

  seal(place: Place, content: Uint8Array): Uint8Array<ArrayBuffer> {
    const padded = padToLadder(content, LADDERS[place.kind] ?? LADDER);
    return sealRandom(this.#crypto, this.#key, this.#aad(place), padded);
  }

  /** `undefined` where the key is another one. */
  open(place: Place, sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const padded = openSealed(this.#crypto, this.#key, this.#aad(place), sealed);
    return padded === undefined ? undefined : unpad(padded);
  }

  /** A name for something that only holders of the key can make. */
  digest(purpose: string, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    const content = encode((writer) => {
      writer.text(purpose);
      for (const part of parts) writer.opaque(part);
    });
    return this.#crypto.hmacSha256(this.#digestKey, content);
  }

  /** Tells keys apart without holding them: caches keep it beside what the key opened. */
  get fingerprint(): Uint8Array {
    return this.#digestKey;
  }

  #aad(place: Place): Uint8Array {
    return encode((writer) => {
      writer.text(place.kind);
      writeScoped(writer, this.groupId);
      if (place.kind === 'reports') return;
      if (place.kind === 'accepted') writer.opaque(place.digest);
      else writer.u64(place.kind === 'roster' ? place.version : place.epoch);
      if (place.kind === 'log') writer.u32(place.position);
    });
  }
}

const KEY_BYTES = 32;
const DIGEST_LABEL = utf8('Roost 1.0 Digest');
const KIB = 1024;
/** Coarse, so that a size tells little of how many members there are. */
const LADDER = [64, 512, 2 * KIB, 8 * KIB, 32 * KIB, 64 * KIB, 128 * KIB, 256 * KIB];
const from = (least: number): readonly number[] => LADDER.filter((size) => size >= least);
/** What grows with the group begins where five have room: they are not told from two. */
const LADDERS: Partial<Record<Place['kind'], readonly number[]>> = {
  roster: from(2 * KIB),
  state: from(8 * KIB),
  'join-info': from(8 * KIB),
};
