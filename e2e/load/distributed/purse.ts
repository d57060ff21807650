import { isTransient } from '@roost/client/lanes';
import type { Account } from '@roost/client/state';
import { assert } from '@roost/core/assert';
import { clientWire } from '@roost/core/ids';
import { DAY_MS, sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { connectTo, type Door } from '@roost/e2e/door';
import { Witness } from '@roost/e2e/witness';
import { decodeIssuerKeySet } from '@roost/identity/issuer-keys';
import { IssuedClass, TokenServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf, type Outgoing, type Transport } from '@roost/rpc/call';
import { finishBatch, prepareBatch } from '@roost/tokens/blind';
import { authorizationHeader, newChallenge } from '@roost/tokens/challenge';
import { tokenKeyId } from '@roost/tokens/token';
import { callAll } from '../outgoing.ts';

const BATCH = 100;
const IN_FLIGHT = 4;
/** Far from the numbers that the client's own wallet uses. */
const FIRST_BATCH = 50_000;

/** Tokens, drawn before anything is measured: what a client does for them is not the server's. */
export class Purse {
  readonly #account: Account;
  readonly #door: Door;
  readonly #headers: string[] = [];
  readonly #raw: Uint8Array[] = [];
  #batch = FIRST_BATCH;
  /** DER; the key that the tokens are of. */
  spki: Uint8Array = new Uint8Array(0);

  private constructor(account: Account, door: Door) {
    this.#account = account;
    this.#door = door;
  }

  static async open(door: Door): Promise<Purse> {
    await using person = await register(door);
    return new Purse(await person.account(), door);
  }

  /** Draws until there are so many. */
  async fill(count: number): Promise<void> {
    const batches = Math.ceil((count - this.#headers.length) / BATCH);
    if (batches <= 0) return;
    const { credentials, signing, domain } = this.#account;
    assert(credentials !== undefined, 'who draws tokens is registered');
    using channel = connectTo(this.#door);
    const service = clientOf(TokenServiceDefinition, channel, {
      ...{ crypto, clock: systemClock, audience: domain },
    });
    const { keySet } = await service.getIssuerKeys({});
    const key = decodeIssuerKeySet(keySet).keys.find(
      (each) => each.tokenClass === 'general' && each.state === 'current',
    );
    assert(key !== undefined, 'there is a current key');
    this.spki = key.spki;
    const sign = {
      key: { kind: 'client' as const, client: credentials.client },
      privateKey: signing.privateKey,
    };
    const client = clientWire(credentials.client);
    const numbers = Array.from({ length: batches }, () => this.#batch++);
    await callAll(numbers, IN_FLIGHT, async (batchNumber) => {
      const { requests, state } = prepareBatch(crypto, key.spki, newChallenge(domain), BATCH);
      const request = {
        ...{ clientId: client, issuedClass: IssuedClass.GENERAL, batchNumber },
        ...{ period: Math.floor(Date.now() / DAY_MS), tokenKeyId: tokenKeyId(crypto, key.spki) },
        blinded: requests,
      };
      const { blindSignatures } = await service.issueTokens(request, { sign });
      for (const raw of finishBatch(crypto, state, blindSignatures)) {
        this.#raw.push(raw);
        this.#headers.push(authorizationHeader(raw));
      }
    });
  }

  /** One as an authorization header. */
  take(): string {
    const header = this.#headers.pop();
    assert(header !== undefined, 'tokens are drawn before they are needed');
    this.#raw.pop();
    return header;
  }

  /** Pays for each of these calls. */
  readonly paid = (calls: readonly Outgoing[]): readonly Outgoing[] =>
    calls.map((call) => ({ ...call, authorization: this.take() }));

  /** A transport that pays for what it carries. */
  paying(transport: Transport): Transport {
    return {
      unary: async (call) => await transport.unary({ ...call, authorization: this.take() }),
      stream: (call) => transport.stream({ ...call, authorization: this.take() }),
    };
  }

  /** Some that stay, for whoever looks at what a bare verification costs. */
  sample(count: number): readonly Uint8Array[] {
    return this.#raw.slice(0, count);
  }
}

/** Processes that have just started, on a busy machine, may be late once. */
async function register(door: Door): Promise<Witness> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await Witness.come(door, `bench${attempt}`);
    } catch (error) {
      if (attempt === ATTEMPTS_MAX || !isTransient(error)) throw error;
      await sleep(RETRY_MS);
    }
  }
}

const ATTEMPTS_MAX = 5;
const RETRY_MS = 2_000;
