import { concat, utf8 } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { ClientId, printId, type Domain } from '@roost/core/ids';
import { DAY_MS, type Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { CLASS_NUMBERS, BATCH_TOKENS_MAX, charge, checkPeriod } from '../domain/allowance.ts';
import type { TokenClass } from '@roost/identity/issuer-keys';
import type { Database } from '@roost/postgres/database';
import type {
  TokenInternalServiceDefinition,
  TokenServiceDefinition,
} from '@roost/proto/roost/tokens/v1/tokens';
import type { IssueTokensRequest, IssueTokensResponse } from '@roost/proto/roost/tokens/v1/tokens';
import type { Handlers } from '@roost/rpc/service';
import { MODULUS_BYTES, parsePublicKey } from '@roost/tokens/token';
import type { Accounts } from '../accounts.ts';
import type { Events } from '../events.ts';
import type { Gate } from '../gate.ts';
import type { Issuance } from '../issuance.ts';
import type { KeyRing, RingKey } from '../key-ring.ts';
import type { KeySets } from '../key-sets.ts';
import * as store from '../store.ts';

export interface Dependencies {
  readonly accounts: Accounts;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly database: Database;
  readonly domain: Domain;
  readonly events: Events;
  readonly gate: Gate;
  readonly issuance: Issuance;
  readonly keySets: KeySets;
  readonly ring: KeyRing;
  /** Hides accounts in the rows. */
  readonly secretKey: Uint8Array;
}

export function tokenHandlers(parts: Dependencies): Handlers<typeof TokenServiceDefinition> {
  const { clock, issuance, keySets, ring } = parts;
  return {
    async getIssuerKeys() {
      return await keySets.signed();
    },

    async issueTokens(request, { proof, signal }) {
      const client = ClientId.parse(request.clientId, 'client_id');
      if (proof?.client === undefined || printId(proof.client) !== printId(client)) {
        throw new Failure('NOT_ALLOWED', 'client_id: is not the client that signed');
      }
      const asked = parseBatch(request);
      const key = await ring.issuing(asked.tokenClass, request.tokenKeyId);
      checkBlinded(request.blinded, key.spki);
      checkPeriod(request.period, clock.now());
      return await issuance.during(signal, () => issue(request, { client, key, ...asked }, parts));
    },
  };
}

interface Asked {
  readonly client: ClientId;
  readonly key: RingKey;
  readonly tokenClass: TokenClass;
  readonly tokens: number;
}

/** Charges a batch and signs it; what was charged is signed, as it was let in as a whole. */
async function issue(
  request: IssueTokensRequest,
  { client, key, tokenClass, tokens }: Asked,
  { accounts, clock, crypto, database, events, secretKey }: Dependencies,
): Promise<IssueTokensResponse> {
  const standing = await accounts.standing(client);
  if (standing === undefined || standing.isSuspended) {
    throw new Failure('SUSPENDED', 'the account is suspended');
  }
  const quantity = standing.quantity(tokenClass);
  const account = crypto.hmacSha256(secretKey, utf8(printId(client.user)));
  const charged = { account, classNumber: key.classNumber, period: request.period };
  const requestHash = crypto.sha256(concat(request.tokenKeyId, request.blinded));
  const batch = { tokens, requestHash };

  const decision = await database.transaction(async (tx) => {
    const known = await store.lockAccount(tx, charged, request.batchNumber);
    const inMs = (request.period + 1) * DAY_MS - clock.now();
    const result = charge(known, batch, quantity, { inMs: Math.max(1000, inMs) });
    if (result.kind === 'charge') await store.addBatch(tx, charged, request.batchNumber, batch);
    return result;
  });

  // Signing is deterministic: who lost the answer asks again and gets the same bytes.
  const blindSignatures = await key.sign(request.blinded);
  if (decision.kind === 'charge') events.issued(tokenClass, tokens);
  return { blindSignatures, remaining: Math.max(0, quantity - decision.drawn) };
}

export function tokenInternalHandlers(gate: Gate): Handlers<typeof TokenInternalServiceDefinition> {
  return {
    async checkToken({ path, authorization }, { signal }) {
      await gate.check(path, authorization, signal);
      return {};
    },
  };
}

function parseBatch(request: IssueTokensRequest): { tokenClass: TokenClass; tokens: number } {
  const tokens = request.blinded.length / MODULUS_BYTES;
  if (!Number.isInteger(tokens) || tokens < 1 || tokens > BATCH_TOKENS_MAX) {
    throw malformed('blinded', `is not 1 to ${BATCH_TOKENS_MAX} times ${MODULUS_BYTES} bytes`);
  }
  if (request.batchNumber > BATCH_NUMBER_MAX) {
    throw malformed('batch_number', `is larger than ${BATCH_NUMBER_MAX}`);
  }
  const names: readonly TokenClass[] = ['general', 'contact'];
  const tokenClass = names.find((name) => CLASS_NUMBERS[name] === request.issuedClass);
  if (tokenClass === undefined) throw malformed('issued_class', 'is neither GENERAL nor CONTACT');
  return { tokenClass, tokens };
}

/** Refuses, before anything is charged, what the private operation would refuse (RFC 9474 §4.3). */
function checkBlinded(blinded: Uint8Array, spki: Uint8Array): void {
  const modulus = Buffer.from(parsePublicKey(spki));
  for (let at = 0; at < blinded.length; at += MODULUS_BYTES) {
    if (modulus.compare(blinded, at, at + MODULUS_BYTES) <= 0) {
      throw malformed('blinded', 'a blinded message is not below the modulus of the issuer key');
    }
  }
}

const BATCH_NUMBER_MAX = 99_999;
