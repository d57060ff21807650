import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { type Clock, MINUTE_MS, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import {
  cacheMs,
  type Directory,
  encodeSigned,
  parseDirectory,
  readDirectory,
  type SignedDirectory,
} from '@roost/federation/directory';
import { nameOf, type TrustedKey } from '@roost/federation/keys';
import { extendTrust } from '@roost/federation/trust';
import { commonVersion, type VersionRange } from '@roost/federation/versions';
import type { Database } from '@roost/postgres/database';
import { PeerUnreachable } from './discovery/unreachable.ts';
import type { FederationEvents } from './events.ts';
import * as store from './store/peers.ts';

/** A homeserver as we know it. */
export interface Peer {
  readonly domain: Domain;
  readonly directory: Directory;
  /** The version of the protocol that is spoken with it. */
  readonly version: number;
  readonly keys: readonly TrustedKey[];
  readonly firstMetMs: number;
}

export interface PeersPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly home: Domain;
  readonly protocol: VersionRange;
  /** Fetches the document that a domain publishes. */
  readonly fetchDocument: (domain: Domain) => Promise<Uint8Array>;
  readonly events: Pick<FederationEvents, 'searched'>;
}

/** So often at most a domain is looked for, by all replicas together, whoever makes us. */
const SEARCH_EVERY_MS = MINUTE_MS;
/** So many at once: whoever makes up names waits for the others who do. */
const SEARCHES_MAX = 16;
/** Directories that are kept decoded. */
const DECODED_MAX = 512;
/** How long another replica's look may take. */
const OTHERS_MS = 100;
const OTHERS_TRIES = 60;

/**
 * The homeservers that were met: their directories, kept as long as those are relied on, and the keys that
 * follow from those that were known before. Whether the policy lets one in is asked before this.
 */
export class Peers {
  readonly #ports: PeersPorts;
  readonly #searches = new Map<Domain, Promise<store.StoredPeer>>();
  readonly #decoded = new Map<
    Domain,
    { readonly contentHash: Uint8Array; readonly directory: Directory }
  >();

  constructor(ports: PeersPorts) {
    this.#ports = ports;
  }

  /** A peer to speak with; `FEDERATION_DENIED` where no version is common, `UNAVAILABLE` where it is not found. */
  async find(domain: Domain): Promise<Peer> {
    const { database, clock } = this.#ports;
    const [kept, nowMs] = [await store.findPeer(database, domain), clock.now()];
    if (kept === undefined || nowMs >= kept.reliedUntilMs) {
      return this.#peerOf(domain, await this.#searchOrWait(domain, nowMs));
    }
    // Looked for again while there is time: a well-known address may be away for a while.
    const half = kept.readAtMs + (kept.reliedUntilMs - kept.readAtMs) / 2;
    if (nowMs < half) return this.#peerOf(domain, kept);
    const found = await this.#search(domain).catch((error: unknown) => {
      if (error instanceof Failure) return kept;
      throw error;
    });
    return this.#peerOf(domain, found);
  }

  /** A peer that signed with a key: where that is not known, or not enough, it is looked for again, once a minute. */
  async findSigner(
    domain: Domain,
    keyId: Uint8Array,
    isEnough: (peer: Peer) => boolean = () => true,
  ): Promise<Peer> {
    const peer = await this.find(domain);
    if (peer.keys.some((key) => equal(key.keyId, keyId)) && isEnough(peer)) return peer;
    try {
      return this.#peerOf(domain, await this.#search(domain));
    } catch (error) {
      // It was looked for a moment ago, or is not what it should be: what is known counts.
      if (error instanceof Failure) return peer;
      throw error;
    }
  }

  /**
   * Believes what a domain publishes now, though it follows from nothing that was known: its operator told
   * ours these key ids, and all that sign have to be among them.
   */
  async trustAnew(domain: Domain, keyIds: readonly Uint8Array[]): Promise<void> {
    const { clock, crypto, database, fetchDocument } = this.#ports;
    const signed = readDirectory(crypto, parseDirectory(await fetchDocument(domain)));
    const trust = extendTrust(crypto, { domain, nowMs: clock.now() }, signed, undefined);
    const told = new Set(keyIds.map(nameOf));
    const living = trust.keys.filter(({ revokedAt }) => revokedAt === undefined);
    if (!living.every(({ keyId }) => told.has(nameOf(keyId)))) {
      throw new Failure('NOT_ALLOWED', `${domain} publishes another key than those that were told`);
    }
    await database.transaction(async (tx) => {
      await store.lockPeer(tx, domain);
      const kept = await store.findPeer(tx, domain);
      await store.revokePeerKeys(tx, domain, clock.now());
      await store.putPeer(tx, domain, this.#storedOf(signed, trust, kept));
    });
    await store.noteSearch(database, domain, '');
  }

  /** Believes a directory that was fetched, where it follows from what was known. */
  async believe(domain: Domain, signed: SignedDirectory): Promise<store.StoredPeer['trust']> {
    const { trust } = await this.#keep(domain, signed);
    await store.noteSearch(this.#ports.database, domain, '');
    return trust;
  }

  /** Where another replica looks for it right now, what that finds is ours too. */
  async #searchOrWait(domain: Domain, nowMs: number): Promise<store.StoredPeer> {
    try {
      return await this.#search(domain);
    } catch (error) {
      if (!(error instanceof LookedForElsewhere)) throw error;
      for (let tries = 0; tries < OTHERS_TRIES; tries++) {
        const found = await store.findPeer(this.#ports.database, domain);
        if (found !== undefined && found.reliedUntilMs > nowMs) return found;
        await sleep(OTHERS_MS);
      }
      throw error;
    }
  }

  /** Those who ask for the same domain at once hear the same. */
  async #search(domain: Domain): Promise<store.StoredPeer> {
    const running = this.#searches.get(domain);
    if (running !== undefined) return await running;
    if (this.#searches.size >= SEARCHES_MAX) {
      throw new Failure('RATE_LIMITED', 'too many homeservers are looked for', {
        retryAfterMs: SEARCH_EVERY_MS,
      });
    }
    const searching = this.#searchOnce(domain).finally(() => this.#searches.delete(domain));
    this.#searches.set(domain, searching);
    return await searching;
  }

  async #searchOnce(domain: Domain): Promise<store.StoredPeer> {
    const { clock, crypto, database, events, fetchDocument } = this.#ports;
    const nowMs = clock.now();
    const claim = await store.claimSearch(database, domain, {
      ...{ nowMs, sinceMs: nowMs - SEARCH_EVERY_MS },
    });
    if (!claim.isOurs) {
      const { trouble } = claim;
      if (trouble === '') throw new LookedForElsewhere(domain);
      throw new Failure('UNAVAILABLE', trouble, { retryAfterMs: SEARCH_EVERY_MS });
    }
    try {
      const document = await fetchDocument(domain);
      const found = await this.#keep(domain, readDirectory(crypto, parseDirectory(document)));
      await store.noteSearch(database, domain, '');
      events.searched();
      return found;
    } catch (error) {
      const trouble = error instanceof Failure ? readable(domain, error) : error;
      events.searched(trouble);
      if (!(trouble instanceof Failure)) throw trouble;
      await store.noteSearch(database, domain, trouble.message);
      throw trouble;
    }
  }

  async #keep(domain: Domain, signed: SignedDirectory): Promise<store.StoredPeer> {
    const { clock, crypto, database } = this.#ports;
    return await database.transaction(async (tx) => {
      await store.lockPeer(tx, domain);
      const kept = await store.findPeer(tx, domain);
      const trust = extendTrust(crypto, { domain, nowMs: clock.now() }, signed, kept?.trust);
      const found = this.#storedOf(signed, trust, kept);
      await store.putPeer(tx, domain, found);
      return found;
    });
  }

  #storedOf(
    { directory, content, keyId, signature }: SignedDirectory,
    trust: store.StoredPeer['trust'],
    kept: store.StoredPeer | undefined,
  ): store.StoredPeer {
    const nowMs = this.#ports.clock.now();
    return {
      firstMetMs: kept?.firstMetMs ?? nowMs,
      signed: encodeSigned({ content, keyId, signature }),
      readAtMs: nowMs,
      reliedUntilMs: nowMs + cacheMs(directory, nowMs),
      trust,
    };
  }

  #peerOf(domain: Domain, { signed, trust, firstMetMs }: store.StoredPeer): Peer {
    const { home, protocol } = this.#ports;
    const directory = this.#decode(domain, signed, trust.contentHash);
    const version = commonVersion({ domain: home, protocol }, directory);
    return { domain, directory, version, keys: trust.keys, firstMetMs };
  }

  /** One content has one meaning; with all the keys that it may hold, reading it costs more than a signature. */
  #decode(domain: Domain, signed: Uint8Array, contentHash: Uint8Array): Directory {
    const kept = this.#decoded.get(domain);
    this.#decoded.delete(domain);
    const isKept = kept !== undefined && equal(kept.contentHash, contentHash);
    const read = isKept ? kept : { contentHash, ...readDirectory(this.#ports.crypto, signed) };
    this.#decoded.set(domain, { contentHash, directory: read.directory });
    const [eldest] = this.#decoded.keys();
    if (this.#decoded.size > DECODED_MAX && eldest !== undefined) this.#decoded.delete(eldest);
    return read.directory;
  }
}

/** It was looked for a moment ago, and nothing was wrong until now. */
class LookedForElsewhere extends Failure {
  constructor(domain: Domain) {
    const facts = { retryAfterMs: SEARCH_EVERY_MS };
    super('UNAVAILABLE', `${domain} was looked for a moment ago`, facts);
  }
}

/** Whatever is wrong with a document is a trouble of the peer's, not of whoever made us look. */
function readable(domain: Domain, error: Failure): Failure {
  if (error instanceof PeerUnreachable || error.reason === 'UNAVAILABLE') return error;
  return new PeerUnreachable('document', `${domain}: ${error.message}`, error);
}
