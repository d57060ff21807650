import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, printUserName } from '@roost/core/ids';
import { type Clock, HOUR_MS, MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { type Authority, readAuthority, UnknownIssuer } from '@roost/identity/authority';
import { readClientCredential } from '@roost/identity/credentials';
import { verifyClientAndName } from '@roost/identity/leaf';
import type { GetExternalSenderResponse } from '@roost/proto/roost/delivery/v1/delivery';
import type { Caller } from './calls.ts';
import type { Ledger } from './ledger.ts';
import { type MemberIdentity, type TrustRecord, trusts } from './state.ts';

interface TrustParts {
  readonly ledger: Ledger;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly caller: Caller;
  readonly domain: Domain;
}

/** What a domain's credentials are judged by. */
export interface Judged {
  readonly authority: Authority;
  readonly nowMs: number;
}

/** How long published keys are taken for current, as `GetPublicKeys` allows. */
const FRESH_MS = HOUR_MS;
/** Those of other homeservers, which ours asks for us. */
const OTHERS_FRESH_MS = 12 * HOUR_MS;
/** So many homeservers are looked for at once; whoever names more makes it up. */
const MET_MAX = 16;

/**
 * The keys that credentials are judged by, those of each domain for itself. The first roots of a domain that
 * we meet are kept: a later key set has to have one of them. Those of others come by our own homeserver.
 */
export class Trust {
  readonly #parts: TrustParts;
  readonly #read = new Map<Domain, Authority>();
  readonly #fetching = new Map<Domain, Promise<void>>();
  /** When each said last by what its credentials are judged, whether we took it or not. */
  readonly #answeredMs = new Map<Domain, number>();
  /** Whose keys were missing, or did not fit, since the last look. */
  #doubted = new Set<Domain>();

  constructor(parts: TrustParts) {
    this.#parts = parts;
  }

  /** Fetches the keys of a domain, unless they are fresh; of our own where none is named. */
  async refresh(maxAgeMs = FRESH_MS, domain = this.domain): Promise<void> {
    const { ledger, clock } = this.#parts;
    const known = ledger.get(trusts, domain);
    if (known !== undefined && clock.now() - known.fetchedMs < maxAgeMs) return;
    const under = this.#fetching.get(domain);
    if (under !== undefined) return under;
    const fetching = this.#fetch(domain).finally(() => this.#fetching.delete(domain));
    this.#fetching.set(domain, fetching);
    return fetching;
  }

  /** Fetches what a hub's groups are judged by, where we know nothing of it yet. */
  async meetHub(domain: Domain): Promise<void> {
    await this.refresh(Infinity, domain);
    const { ledger } = this.#parts;
    if (ledger.get(trusts, domain)?.externalSender.length !== 0) return;
    const { externalSender } = await this.#senderOf(domain);
    await ledger.turn((turn) => {
      const known = turn.get(trusts, domain);
      if (known !== undefined) turn.put(trusts, domain, { ...known, externalSender });
    });
  }

  /** Fetches anew what is old of all domains that we met; one that is away is asked another time. */
  async refreshOthers(): Promise<void> {
    const met = this.#parts.ledger.list(trusts).map(([domain]) => domain as Domain);
    for (let at = 0; at < met.length; at += MET_MAX) {
      const some = met.slice(at, at + MET_MAX);
      const asked = await Promise.allSettled(
        some.map((domain) => this.refresh(OTHERS_FRESH_MS, domain)),
      );
      for (const each of asked) {
        if (each.status === 'rejected' && !(each.reason instanceof Failure)) throw each.reason;
      }
    }
  }

  get domain(): Domain {
    return this.#parts.domain;
  }

  /** What groups on a hub name as their external sender. */
  hubSender(hub = this.domain): Uint8Array {
    const known = this.#parts.ledger.get(trusts, hub);
    assert(known !== undefined, 'what a hub says is fetched before its groups are entered');
    return known.externalSender;
  }

  /**
   * Judges something by the keys that are known, and again by fresh ones of the domains whose keys were
   * missing or did not fit: it may be signed by a key that is newer than those.
   */
  async judge<T>(judgement: () => T): Promise<T> {
    const met = new Set<Domain>();
    let trouble: unknown;
    for (;;) {
      const { value, error, doubted } = this.#try(judgement);
      if (error !== undefined && doubted.length === 0) doubted.push(this.domain);
      const anew = doubted.filter((domain) => !met.has(domain)).slice(0, MET_MAX - met.size);
      if (anew.length === 0) {
        if (error === undefined) return value as T;
        // Who could not be asked is why, where that is so.
        throw trouble ?? error;
      }
      for (const domain of anew) met.add(domain);
      const asked = await Promise.allSettled(anew.map((each) => this.refresh(MINUTE_MS, each)));
      for (const each of asked) if (each.status === 'rejected') trouble ??= each.reason;
    }
  }

  /** Judges by what is known alone; `undefined` where fresh keys may say something else. */
  judgeNow<T>(judgement: () => T): T | undefined {
    const { value, error, doubted } = this.#try(judgement);
    if (doubted.length > 0) return undefined;
    if (error !== undefined) throw error;
    return value;
  }

  /** Judges by the keys of one domain; what does not fit them puts them in doubt. */
  by<T>(domain: Domain, judgement: (judged: Judged) => T): T {
    try {
      return judgement({ authority: this.#authority(domain), nowMs: this.#parts.clock.now() });
    } catch (error) {
      if (isDoubtful(error)) this.#doubted.add(domain);
      throw error;
    }
  }

  /** Whether a domain said just now by what its credentials are judged: what does not fit that is forged. */
  hasAnswered(domain: Domain): boolean {
    const { ledger, clock } = this.#parts;
    const fetchedMs = ledger.get(trusts, domain)?.fetchedMs ?? 0;
    return clock.now() - Math.max(fetchedMs, this.#answeredMs.get(domain) ?? 0) < MINUTE_MS;
  }

  /** The intermediate of our own homeserver of this hash, in force. */
  issuer(hash: Uint8Array) {
    const { intermediates, revoked } = this.#authority(this.domain);
    const issuer = intermediates.get(toHex(hash));
    const isOver = (issuer?.notAfter ?? 0) < this.#parts.clock.now();
    if (issuer === undefined || revoked.has(toHex(hash)) || isOver) {
      throw new Failure('UNAUTHENTICATED', 'the issuer keys are not signed by the homeserver');
    }
    return issuer;
  }

  /**
   * Who a client credential and a name binding speak of, verified up to the root of the domain that they
   * name. Throws where they are forged, revoked, not valid now, or of two users.
   */
  identityOf(clientCredential: Uint8Array, nameBinding: Uint8Array): MemberIdentity {
    const { crypto } = this.#parts;
    const credentials = { clientCredential, nameBinding };
    return this.by(domainOf(clientCredential), (judged) => {
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
    });
  }

  #try<T>(judgement: () => T) {
    this.#doubted = new Set();
    try {
      const value = judgement();
      return { value, error: undefined, doubted: [...this.#doubted] };
    } catch (error) {
      if (!isDoubtful(error)) throw error;
      return { value: undefined, error, doubted: [...this.#doubted] };
    }
  }

  #authority(domain: Domain): Authority {
    const known = this.#read.get(domain);
    if (known !== undefined) return known;
    const { ledger, crypto } = this.#parts;
    const record = ledger.get(trusts, domain);
    if (record === undefined) {
      throw new UnknownIssuer(domain, `nothing is known of the domain ${domain}`);
    }
    const authority = readAuthority(crypto, domain, record);
    this.#read.set(domain, authority);
    return authority;
  }

  async #fetch(domain: Domain): Promise<void> {
    const { ledger, caller, clock, crypto } = this.#parts;
    const [{ roots, intermediates, revoked }, sender] = await Promise.all([
      caller.ask({}, (options) =>
        caller.services.authentication.getPublicKeys({ domain }, options),
      ),
      // People are judged without the hub of their homeserver.
      domain === this.domain ? this.#senderOf(domain) : undefined,
    ]);
    this.#answeredMs.set(domain, clock.now());
    const externalSender = sender?.externalSender ?? ledger.get(trusts, domain)?.externalSender;
    const fresh: TrustRecord = {
      ...{ roots, intermediates, revoked, externalSender: externalSender ?? NOT_ASKED },
      fetchedMs: clock.now(),
    };
    const authority = readAuthority(crypto, domain, fresh);
    const who = domain === this.domain ? 'the homeserver' : domain;
    // Kept as the first ones, none would leave no way to any later.
    if (authority.roots.size === 0) {
      throw new Failure('UNAUTHENTICATED', `${who} has no root keys of its own`);
    }
    const before = ledger.get(trusts, domain) && this.#authority(domain);
    const isContinued =
      before === undefined || [...before.roots.keys()].some((hash) => authority.roots.has(hash));
    if (!isContinued) {
      throw new Failure('UNAUTHENTICATED', `${who} has other root keys than it had`);
    }
    await ledger.turn((turn) => turn.put(trusts, domain, fresh));
    this.#read.set(domain, authority);
  }

  async #senderOf(domain: Domain): Promise<GetExternalSenderResponse> {
    const { caller } = this.#parts;
    const request = domain === this.domain ? {} : { domain };
    return caller.ask({}, (options) =>
      caller.services.delivery.getExternalSender(request, options),
    );
  }
}

const NOT_ASKED = new Uint8Array(0);

/** The domain that a client credential says that it is of. */
export function domainOf(clientCredential: Uint8Array): Domain {
  return readClientCredential(clientCredential).clientId.user.domain;
}

function isDoubtful(error: unknown): boolean {
  return error instanceof Failure && error.reason === 'UNAUTHENTICATED';
}
