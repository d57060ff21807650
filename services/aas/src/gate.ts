import { Failure } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';
import type { TokenClass } from '@roost/identity/issuer-keys';
import { decodeToken } from '@roost/tokens/token';
import { newChallenge, challengeDigest, parseAuthorization } from '@roost/tokens/challenge';
import { verifyToken } from '@roost/tokens/node/verifier';
import type { Domain } from '@roost/core/ids';
import type { Events } from './events.ts';
import type { KeyRing } from './key-ring.ts';
import type { Spender } from './spender.ts';

/** What the gate asks about a method: its class, `exempt`, or `undefined` for no such method. */
export type ClassOf = (path: string) => TokenClass | 'exempt' | undefined;

/**
 * Decides whether a call may pass, by the rule of its method alone: default deny. A token is verified
 * first and spent second, so that an invalid one never writes.
 */
export class Gate {
  readonly #ring: KeyRing;
  readonly #spender: Spender;
  readonly #classOf: ClassOf;
  readonly #challengeDigest: Uint8Array;
  readonly #crypto: Crypto;
  readonly #events: Pick<Events, 'checked'>;

  constructor(parts: {
    ring: KeyRing;
    spender: Spender;
    classOf: ClassOf;
    domain: Domain;
    crypto: Crypto;
    events: Pick<Events, 'checked'>;
  }) {
    this.#ring = parts.ring;
    this.#spender = parts.spender;
    this.#classOf = parts.classOf;
    this.#crypto = parts.crypto;
    this.#events = parts.events;
    this.#challengeDigest = challengeDigest(parts.crypto, newChallenge(parts.domain));
  }

  /** What the call costs, once that is spent; a refusal is thrown. */
  async check(
    path: string,
    authorization: string,
    signal: AbortSignal,
  ): Promise<TokenClass | 'exempt'> {
    return await this.#events.checked(() => this.#decide(path, authorization, signal));
  }

  async #decide(
    path: string,
    authorization: string,
    signal: AbortSignal,
  ): Promise<TokenClass | 'exempt'> {
    const wanted = this.#classOf(path);
    if (wanted === undefined) throw new Failure('METHOD_UNKNOWN', 'there is no such method');
    if (wanted === 'exempt') return wanted;
    if (authorization === '') {
      throw new Failure('TOKEN_REQUIRED', `this method costs a token of the class ${wanted}`);
    }
    const bytes = parseAuthorization(authorization);
    if (bytes === undefined) throw new Failure('TOKEN_INVALID', 'authorization: is not a token');
    const token = decodeToken(bytes);
    const key = await this.#ring.redeemable(token.tokenKeyId);
    if (key === undefined)
      throw new Failure('TOKEN_INVALID', 'the key of this token is not in use');
    if (key.tokenClass !== wanted) {
      throw new Failure('TOKEN_REQUIRED', `this method costs a token of the class ${wanted}`);
    }
    const isOurs = this.#crypto.equal(token.challengeDigest, this.#challengeDigest);
    if (!isOurs || !verifyToken(key.publicKey, bytes)) {
      throw new Failure('TOKEN_INVALID', 'the token does not verify');
    }
    await this.#spender.spend({ keyNumber: key.keyNumber, nonce: token.nonce, signal });
    return wanted;
  }
}
