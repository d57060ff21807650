import { assert } from '@roost/core/assert';
import type { ClientId, Domain, UserName } from '@roost/core/ids';
import { DAY_MS, type Clock } from '@roost/core/time';
import { equal, utf8 } from '@roost/core/bytes';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, sealRandom } from '@roost/crypto/sealed';
import {
  issueAsIntermediate,
  makeAsRoot,
  readAsRoot,
  readAuthority,
  type Issuer,
  type PublishedKeys,
} from '@roost/identity/authority';
import { issueClientCredential, issueNameBinding } from '@roost/identity/credentials';
import { decodeIssuerKeySet, signIssuerKeySet } from '@roost/identity/issuer-keys';
import { Failure, malformed } from '@roost/core/failure';
import type { Database } from '@roost/postgres/database';
import * as store from './store/authorities.ts';

interface Ports {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly database: Database;
  readonly domain: Domain;
  /** 32 bytes: seals the private keys at rest. */
  readonly secretKey: Uint8Array;
}

const ROOT_MS = 3_650 * DAY_MS;
const INTERMEDIATE_MS = 365 * DAY_MS;
/** Credentials and name bindings (design §3). */
const CREDENTIAL_MS = 90 * DAY_MS;
/** A new intermediate comes before what it signs would be cut by its end. */
const RENEW_BEFORE_MS = CREDENTIAL_MS + 30 * DAY_MS;

/** The keys of this AS: made at the first start, kept sealed, rotated before they end. */
export class Signing {
  readonly #ports: Ports;
  #published: PublishedKeys = { roots: [], intermediates: [], revoked: [] };
  #issuer: Issuer | undefined;
  /** The authorities that were loaded last, the newest first. */
  #loaded: readonly store.Authority[] = [];
  #ends = { root: 0, intermediate: 0 };

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** Makes the keys that are missing or about to end, and loads all. Forced, a new intermediate in any case. */
  async rotate({ isForced = false } = {}): Promise<void> {
    const { clock, database } = this.#ports;
    const found = await database.transaction(async (tx) => {
      await store.lockAuthorities(tx);
      const now = clock.now();
      const existing = await store.findAuthorities(tx, new Date(now));
      const { root, intermediate } = newest(existing);
      const lives = intermediate !== undefined && +intermediate.notAfter > now + RENEW_BEFORE_MS;
      if (root !== undefined && lives && !isForced) return existing;

      const signer = root ?? this.#makeRoot(now);
      if (root === undefined) await store.addAuthority(tx, signer);
      await store.addAuthority(tx, this.#makeIntermediate(signer, now));
      return await store.findAuthorities(tx, new Date(now));
    });
    this.#load(found);
  }

  /** Those that have not ended, as they stand in the rows now; the newest first. */
  async known(): Promise<readonly store.Authority[]> {
    await this.#read();
    return this.#loaded;
  }

  /** When the keys that sign now end, in ms since 1970. */
  get ends(): { readonly root: number; readonly intermediate: number } {
    return this.#ends;
  }

  /**
   * All that credentials of this domain are verified against. Read from the rows each time: another
   * replica may have made a key, and signed with it, a moment ago. While the database is away what was
   * read last is still told.
   */
  async published(): Promise<PublishedKeys> {
    try {
      await this.#read();
    } catch (error) {
      if (!(error instanceof Failure && error.reason === 'UNAVAILABLE')) throw error;
    }
    return this.#published;
  }

  /** Issues a credential for a self-signed request, and binds the user's name beside it. */
  issue(request: Uint8Array, clientId: ClientId, userName: UserName) {
    const { clock, crypto } = this.#ports;
    const now = clock.now();
    const validity = { notBefore: now, notAfter: now + CREDENTIAL_MS };
    const issuer = this.#signer();
    return {
      clientCredential: issueClientCredential(crypto, issuer, { request, clientId, ...validity }),
      nameBinding: issueNameBinding(crypto, issuer, {
        userName,
        userId: clientId.user,
        ...validity,
      }),
    };
  }

  /** Signs the issuer keys of our own AAS, and nothing else: it is read before it is signed. */
  signIssuerKeys(keySet: Uint8Array): { issuer: Uint8Array; signature: Uint8Array } {
    const { crypto, domain } = this.#ports;
    if (decodeIssuerKeySet(keySet).domain !== domain) {
      throw malformed('key_set', 'is of another domain');
    }
    const { hash, privateKey } = this.#signer();
    return { issuer: hash, signature: signIssuerKeySet(crypto, privateKey, keySet) };
  }

  #signer(): Issuer {
    assert(this.#issuer !== undefined, 'the keys are loaded before anything is signed');
    return this.#issuer;
  }

  #makeRoot(now: number): store.Authority {
    const { crypto, domain } = this.#ports;
    const key = crypto.ed25519.generate();
    const validity = { notBefore: now, notAfter: now + ROOT_MS };
    const credential = makeAsRoot(crypto, key, domain, validity);
    return this.#seal(store.AUTHORITY_KINDS.root, credential, key.privateKey, validity);
  }

  #makeIntermediate(root: store.Authority, now: number): store.Authority {
    const { crypto } = this.#ports;
    const { domain, hash } = readAsRoot(crypto, root.credential);
    const key = crypto.ed25519.generate();
    const notAfter = Math.min(now + INTERMEDIATE_MS, +root.notAfter);
    const validity = { notBefore: now, notAfter };
    const issuer: Issuer = {
      domain,
      hash,
      notBefore: +root.notBefore,
      notAfter: +root.notAfter,
      privateKey: this.#open(root),
    };
    const credential = issueAsIntermediate(crypto, issuer, key, validity);
    return this.#seal(store.AUTHORITY_KINDS.intermediate, credential, key.privateKey, validity);
  }

  async #read(): Promise<void> {
    const { clock, database } = this.#ports;
    const found = await store.findAuthorities(database, new Date(clock.now()));
    const isKnown =
      found.length === this.#loaded.length &&
      found.every(({ credential }, at) =>
        equal(credential, this.#loaded[at]?.credential ?? NOTHING),
      );
    // Without an intermediate that lives there is nothing to load: the next rotation makes one.
    if (!isKnown && newest(found).intermediate !== undefined) this.#load(found);
  }

  #load(found: readonly store.Authority[]): void {
    const { crypto, domain } = this.#ports;
    this.#loaded = found;
    const of = (kind: number): readonly store.Authority[] =>
      found.filter((each) => each.kind === kind);
    this.#published = {
      roots: of(store.AUTHORITY_KINDS.root).map(({ credential }) => credential),
      intermediates: of(store.AUTHORITY_KINDS.intermediate).map(({ credential }) => credential),
      revoked: [],
    };
    const { root, intermediate } = newest(found);
    assert(intermediate !== undefined, 'there is an intermediate after a rotation');
    this.#ends = { root: +(root?.notAfter ?? 0), intermediate: +intermediate.notAfter };
    const authority = readAuthority(crypto, domain, this.#published);
    const hash = crypto.sha256(intermediate.credential);
    assert(authority.intermediates.size > 0, 'our own keys verify');
    this.#issuer = {
      domain,
      hash,
      notBefore: +intermediate.notBefore,
      notAfter: +intermediate.notAfter,
      privateKey: this.#open(intermediate),
    };
  }

  #seal(
    kind: number,
    credential: Uint8Array,
    privateKey: Uint8Array,
    validity: { notBefore: number; notAfter: number },
  ): store.Authority {
    const { crypto, secretKey } = this.#ports;
    return {
      kind,
      credential,
      privateSealed: sealRandom(crypto, secretKey, utf8(`authority ${kind}`), privateKey),
      notBefore: new Date(validity.notBefore),
      notAfter: new Date(validity.notAfter),
    };
  }

  #open({ kind, privateSealed }: store.Authority): Uint8Array {
    const { crypto, secretKey } = this.#ports;
    const opened = openSealed(crypto, secretKey, utf8(`authority ${kind}`), privateSealed);
    assert(opened !== undefined, 'the secret key opens the keys of this database');
    return opened;
  }
}

const NOTHING = new Uint8Array(0);

function newest(found: readonly store.Authority[]) {
  return {
    root: found.find(({ kind }) => kind === store.AUTHORITY_KINDS.root),
    intermediate: found.find(({ kind }) => kind === store.AUTHORITY_KINDS.intermediate),
  };
}
