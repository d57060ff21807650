import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, printUserName } from '@roost/core/ids';
import { type Clock, HOUR_MS, MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { type Authority, readAuthority } from '@roost/identity/authority';
import { verifyClientAndName } from '@roost/identity/leaf';
import type { Services } from './calls.ts';
import type { Ledger } from './ledger.ts';
import { type MemberIdentity, type TrustRecord, trusts } from './state.ts';

interface TrustParts {
  readonly ledger: Ledger;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly services: Services;
  readonly domain: Domain;
}

/** How long published keys are taken for current, as `GetPublicKeys` allows. */
const FRESH_MS = HOUR_MS;

/**
 * The keys that credentials are judged by. The first roots of a domain that we meet are kept: a
 * later key set has to have one of them.
 */
export class Trust {
  readonly #parts: TrustParts;
  readonly #read = new Map<Domain, Authority>();

  constructor(parts: TrustParts) {
    this.#parts = parts;
    const known = parts.ledger.get(trusts, parts.domain);
    if (known !== undefined) this.#keep(known);
  }

  /** Fetches the keys of the own domain, unless they are fresh. */
  async refresh(maxAgeMs = FRESH_MS): Promise<void> {
    const { ledger, services, clock, domain } = this.#parts;
    const known = ledger.get(trusts, domain);
    if (known !== undefined && clock.now() - known.fetchedMs < maxAgeMs) return;
    const [{ roots, intermediates, revoked }, { externalSender }] = await Promise.all([
      services.authentication.getPublicKeys({}),
      services.delivery.getExternalSender({}),
    ]);
    const fetchedMs = clock.now();
    const fresh: TrustRecord = { roots, intermediates, revoked, externalSender, fetchedMs };
    const before = this.#read.get(domain);
    const authority = readAuthority(this.#parts.crypto, domain, fresh);
    const isContinued =
      before === undefined || [...before.roots.keys()].some((hash) => authority.roots.has(hash));
    if (!isContinued) {
      throw new Failure('UNAUTHENTICATED', 'the homeserver has other root keys than it had');
    }
    await ledger.turn((turn) => turn.put(trusts, domain, fresh));
    this.#read.set(domain, authority);
  }

  /** The own domain; users of others cannot be met yet. */
  get domain(): Domain {
    return this.#parts.domain;
  }

  /** What groups on our own hub name as their external sender. */
  get hubSender(): Uint8Array {
    const known = this.#parts.ledger.get(trusts, this.#parts.domain);
    assert(known !== undefined, 'the keys of the own domain are fetched before anything else');
    return known.externalSender;
  }

  /**
   * Judges something by the keys that are known, and again by fresh ones where it seems forged: it
   * may be signed by a key that is newer than those.
   */
  async judge<T>(judgement: () => T): Promise<T> {
    try {
      return judgement();
    } catch (error) {
      if (!(error instanceof Failure) || error.reason !== 'UNAUTHENTICATED') throw error;
      await this.refresh(MINUTE_MS);
      return judgement();
    }
  }

  authority(domain: Domain): Authority {
    const authority = this.#read.get(domain);
    if (authority !== undefined) return authority;
    throw new Failure('FEDERATION_DENIED', `nothing is known of the domain ${domain}`);
  }

  /** The intermediate of this hash, in force. */
  issuer(hash: Uint8Array) {
    const { domain, clock } = this.#parts;
    const { intermediates, revoked } = this.authority(domain);
    const issuer = intermediates.get(toHex(hash));
    if (issuer === undefined || revoked.has(toHex(hash)) || issuer.notAfter < clock.now()) {
      throw new Failure('UNAUTHENTICATED', 'the issuer keys are not signed by the homeserver');
    }
    return issuer;
  }

  /**
   * Who a client credential and a name binding speak of, verified up to the domain's root. Throws
   * where they are forged, revoked, not valid now, or of two users.
   */
  identityOf(
    clientCredential: Uint8Array,
    nameBinding: Uint8Array,
    domain: Domain,
  ): MemberIdentity {
    const { crypto, clock } = this.#parts;
    const judged = { authority: this.authority(domain), nowMs: clock.now() };
    const credentials = { clientCredential, nameBinding };
    const { credential, binding, standing } = verifyClientAndName(crypto, credentials, judged);
    if (standing !== 'valid') {
      throw new Failure('UNAUTHENTICATED', `the credential of a user is ${standing}`);
    }
    return {
      user: binding.userId,
      client: credential.clientId,
      userName: printUserName(binding.userName),
      clientKey: credential.publicKey,
      recoveryKeyHash: credential.recoveryKeyHash,
    };
  }

  #keep(record: TrustRecord): void {
    const { crypto, domain } = this.#parts;
    this.#read.set(domain, readAuthority(crypto, domain, record));
  }
}
