import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { SECOND_MS } from '@roost/core/time';
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
import { Searches, type SearchesPorts } from './searches.ts';
import * as store from './store/peers.ts';
import { forgetTrouble } from './store/searches.ts';

/** A homeserver as we know it. */
export interface Peer {
  readonly domain: Domain;
  readonly directory: Directory;
  /** The version of the protocol that is spoken with it. */
  readonly version: number;
  readonly keys: readonly TrustedKey[];
  readonly firstMetMs: number;
}

export interface PeersPorts extends Pick<
  SearchesPorts,
  'database' | 'clock' | 'events' | 'fetchDocument'
> {
  readonly crypto: Crypto;
  readonly home: Domain;
  readonly protocol: VersionRange;
  /** How long somebody waits for one that is looked for. */
  readonly patienceMs?: number | undefined;
}

/** Twice as long is more than a look may take: the second who asks hears how it went. */
const PATIENCE_MS = 8 * SECOND_MS;
/** Where what is known holds still. */
const REFRESH_PATIENCE_MS = 2 * SECOND_MS;
/** Directories that are kept decoded. */
const DECODED_MAX = 512;

/**
 * The homeservers that were met: their directories, kept as long as those are relied on, and the keys that
 * follow from those that were known before. Whether the policy lets one in is asked before this.
 */
export class Peers {
  readonly #ports: PeersPorts;
  readonly #searches: Searches;
  readonly #patienceMs: number;
  readonly #decoded = new Map<
    Domain,
    { readonly contentHash: Uint8Array; readonly directory: Directory }
  >();

  constructor(ports: PeersPorts) {
    this.#ports = ports;
    this.#patienceMs = ports.patienceMs ?? PATIENCE_MS;
    this.#searches = new Searches({
      ...ports,
      keep: async (domain, document) =>
        await this.#keep(domain, readDirectory(ports.crypto, parseDirectory(document))),
      findKept: async (domain) => await store.findPeer(ports.database, domain),
    });
  }

  /** A peer to speak with; `FEDERATION_DENIED` where no version is common, `UNAVAILABLE` where it is not found. */
  async find(domain: Domain): Promise<Peer> {
    const { database, clock } = this.#ports;
    const [kept, nowMs] = [await store.findPeer(database, domain), clock.now()];
    if (kept === undefined || nowMs >= kept.reliedUntilMs) {
      return this.#peerOf(domain, await this.#searches.findAnywhere(domain, this.#patienceMs));
    }
    // Looked for again while there is time: a well-known address may be away for a while.
    const half = kept.readAtMs + (kept.reliedUntilMs - kept.readAtMs) / 2;
    if (nowMs < half) return this.#peerOf(domain, kept);
    const patienceMs = Math.min(REFRESH_PATIENCE_MS, this.#patienceMs);
    const found = await this.#searches.find(domain, patienceMs).catch((error: unknown) => {
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
      return this.#peerOf(domain, await this.#searches.find(domain, this.#patienceMs));
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
    await forgetTrouble(database, domain);
  }

  /** Believes a directory that was fetched, where it follows from what was known. */
  async believe(domain: Domain, signed: SignedDirectory): Promise<store.StoredPeer['trust']> {
    const { trust } = await this.#keep(domain, signed);
    await forgetTrouble(this.#ports.database, domain);
    return trust;
  }

  /** Ends what is looked for. */
  async close(): Promise<void> {
    await this.#searches.close();
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
