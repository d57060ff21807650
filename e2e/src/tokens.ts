import type { Account } from '@roost/client/state';
import { assert } from '@roost/core/assert';
import { clientWire } from '@roost/core/ids';
import { DAY_MS, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { decodeIssuerKeySet, type TokenClass } from '@roost/identity/issuer-keys';
import { TokenServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf, printToken } from '@roost/rpc/call';
import { finishBatch, prepareBatch } from '@roost/tokens/blind';
import { newChallenge } from '@roost/tokens/challenge';
import { tokenKeyId } from '@roost/tokens/token';
import { type Door, connectTo } from './door.ts';
import type { Witness } from './witness.ts';

/** Far from the numbers that a client's own wallet uses. */
const FIRST_BATCH = 50_000;

/** Tokens of somebody, drawn by the test itself. */
export class Tokens {
  readonly #account: Account;
  readonly #door: Door;
  readonly #drawn: Record<TokenClass, Uint8Array[]> = { general: [], contact: [] };
  readonly #drawing: Partial<Record<TokenClass, Promise<void>>> = {};
  #batch = FIRST_BATCH;

  private constructor(account: Account, door: Door) {
    this.#account = account;
    this.#door = door;
  }

  /** Of somebody who is registered; they may go meanwhile. */
  static async of(person: Witness, door: Door): Promise<Tokens> {
    return new Tokens(await person.account(), door);
  }

  /** As an authorization header. */
  async take(tokenClass: TokenClass): Promise<string> {
    return printToken(await this.takeRaw(tokenClass));
  }

  async takeRaw(tokenClass: TokenClass): Promise<Uint8Array> {
    // A crowd that finds the purse empty draws one batch together.
    while (this.#drawn[tokenClass].length === 0) {
      this.#drawing[tokenClass] ??= this.draw(tokenClass, 100).finally(
        () => delete this.#drawing[tokenClass],
      );
      await this.#drawing[tokenClass];
    }
    const token = this.#drawn[tokenClass].pop();
    assert(token !== undefined, 'a batch holds tokens');
    return token;
  }

  /** Draws a full batch; done ahead where the clock will move or the account is watched. */
  async draw(tokenClass: TokenClass, count: number): Promise<void> {
    const { credentials, signing, domain } = this.#account;
    assert(credentials !== undefined, 'who draws tokens is registered');
    using channel = connectTo(this.#door);
    const signer = { crypto, clock: systemClock, audience: domain };
    const service = clientOf(TokenServiceDefinition, channel, signer);
    const { keySet } = await service.getIssuerKeys({});
    const key = decodeIssuerKeySet(keySet).keys.find(
      (each) => each.tokenClass === tokenClass && each.state === 'current',
    );
    assert(key !== undefined, 'there is a current key');
    const { requests, state } = prepareBatch(crypto, key.spki, newChallenge(domain), count);
    const { blindSignatures } = await service.issueTokens(
      {
        clientId: clientWire(credentials.client),
        issuedClass: tokenClass === 'general' ? 2 : 3,
        period: Math.floor(Date.now() / DAY_MS),
        batchNumber: this.#batch++,
        tokenKeyId: tokenKeyId(crypto, key.spki),
        blinded: requests,
      },
      {
        sign: {
          key: { kind: 'client', client: credentials.client },
          privateKey: signing.privateKey,
        },
      },
    );
    this.#drawn[tokenClass].push(...finishBatch(crypto, state, blindSignatures));
  }
}
