import { assert } from '@roost/core/assert';
import { clientWire } from '@roost/core/ids';
import { DAY_MS, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { decodeIssuerKeySet, type TokenClass } from '@roost/identity/issuer-keys';
import { TokenServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf, printToken } from '@roost/rpc/call';
import { connect } from '@roost/rpc/client';
import { finishBatch, prepareBatch } from '@roost/tokens/blind';
import { newChallenge } from '@roost/tokens/challenge';
import { tokenKeyId } from '@roost/tokens/token';
import type { Witness } from './witness.ts';

/** Far from the numbers that a client's own wallet uses. */
const FIRST_BATCH = 50_000;

/** Tokens of somebody, drawn by the test itself and given out as authorization headers. */
export class Tokens {
  readonly #person: Witness;
  readonly #address: string;
  readonly #drawn: Record<TokenClass, string[]> = { general: [], contact: [] };
  #batch = FIRST_BATCH;

  constructor(person: Witness, address: string) {
    this.#person = person;
    this.#address = address;
  }

  async take(tokenClass: TokenClass): Promise<string> {
    if (this.#drawn[tokenClass].length === 0) await this.#draw(tokenClass, 100);
    const token = this.#drawn[tokenClass].pop();
    assert(token !== undefined, 'a batch holds tokens');
    return token;
  }

  async #draw(tokenClass: TokenClass, count: number): Promise<void> {
    const { credentials, signing, domain } = await this.#person.account();
    assert(credentials !== undefined, 'who draws tokens is registered');
    using channel = connect(this.#address);
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
    this.#drawn[tokenClass].push(...finishBatch(crypto, state, blindSignatures).map(printToken));
  }
}
