import { toHex } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { encodeQueueConfig } from '@roost/bus/queue-config';
import { sealLinkKey } from '@roost/identity/friendship';
import { EXTENSION } from '@roost/mls/extensions';
import { keyPackageRef, validateKeyPackage } from '@roost/mls/key-package';
import { parseKeyPackage } from '@roost/mls/message';
import { encodeMlsMessage } from 'ts-mls';
import { accountOf, type Core } from './core.ts';
import type { Turn } from './ledger.ts';
import { newLeaf } from './links.ts';
import { LIFETIME_MS } from './mls-config.ts';
import { pushSoon } from './push.ts';
import { type OwnPackage, packages } from './state.ts';
import { qsClientSigner } from './signers.ts';

/** How many KeyPackages wait to be claimed, and how few make us add more. */
const POOL = 50;
const POOL_LOW = 30;
const LAST_RESORTS = 2;
/** One request holds at most so many; a KeyPackage with its link is about 2 KiB. */
const PUBLISHED_AT_ONCE_MAX = 50;
/** A last-resort KeyPackage is replaced so long before it expires. */
const RENEWED_BEFORE_MS = 30 * DAY_MS;

/** Keeps enough KeyPackages at the QS, so that contacts can add us while we are away. */
export class KeyPackages {
  readonly #core: Core;
  #last: Promise<void> = Promise.resolve();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Adds what is missing; `available` where the QS told how many there are. */
  async refill(available?: number): Promise<void> {
    const refill = this.#last.then(() => this.#refill(available));
    this.#last = refill.catch(() => undefined);
    return refill;
  }

  async #refill(available: number | undefined): Promise<void> {
    await this.#forgetExpired();
    const published = this.#core.ledger.list(packages).filter(([, each]) => each.isPublished);
    const pool = available ?? published.filter(([, each]) => !each.isLastResort).length;
    const renewAtMs = this.#core.clock.now() + RENEWED_BEFORE_MS;
    const lasting = published.filter(([, { isLastResort, notAfterMs }]) => {
      return isLastResort && notAfterMs > renewAtMs;
    });
    const missing = pool < POOL_LOW ? POOL - pool : 0;
    const lastResorts = lasting.length < LAST_RESORTS ? LAST_RESORTS : 0;
    const isMade = this.#core.ledger.list(packages).some(([, each]) => !each.isPublished);
    if (!isMade && missing + lastResorts > 0) await this.#make(missing, lastResorts);
    await this.#publish();
  }

  /** Writes KeyPackages down before anybody can see them. */
  async #make(count: number, lastResorts: number): Promise<void> {
    const made: OwnPackage[] = [];
    for (let at = 0; at < count + lastResorts; at++) made.push(await this.#one(at < lastResorts));
    await this.#core.ledger.turn((turn) => {
      for (const each of made) turn.put(packages, this.#refOf(each), each);
    });
  }

  async #one(isLastResort: boolean): Promise<OwnPackage> {
    const { mls, clock } = this.#core;
    const { leaf, identity } = newLeaf(this.#core);
    const { handle, pushKey } = leaf;
    const { domain } = accountOf(this.#core);
    const nowMs = clock.now();
    const queueConfig = encodeQueueConfig({ domain, handle, pushKey });
    const extensions = [
      { extensionType: EXTENSION.queueConfig, extensionData: queueConfig },
      ...(isLastResort ? [{ extensionType: EXTENSION.lastResort, extensionData: NOTHING }] : []),
    ];
    const keys = { ...leaf.signing, identity, extensions, nowMs };
    const { publicPackage, privatePackage } = await mls.keyPackage(keys);
    return {
      keyPackage: encodeMlsMessage({
        version: 'mls10',
        wireformat: 'mls_key_package',
        keyPackage: publicPackage,
      }),
      initPrivateKey: privatePackage.initPrivateKey,
      hpkePrivateKey: privatePackage.hpkePrivateKey,
      leaf,
      isLastResort,
      isPublished: false,
      notAfterMs: nowMs + LIFETIME_MS,
    };
  }

  async #publish(): Promise<void> {
    const { ledger, caller, crypto } = this.#core;
    // The QS takes no KeyPackages before there is one of last resort.
    const waiting = ledger
      .list(packages)
      .filter(([, each]) => !each.isPublished)
      .toSorted(([, a], [, b]) => Number(b.isLastResort) - Number(a.isLastResort));
    const { friendshipKey } = accountOf(this.#core);
    for (let at = 0; at < waiting.length; at += PUBLISHED_AT_ONCE_MAX) {
      const some = waiting.slice(at, at + PUBLISHED_AT_ONCE_MAX);
      const addPackages = some.map(([, { keyPackage, leaf }]) => {
        const ref = keyPackageRef(crypto, keyPackage);
        return {
          keyPackage: { tls: keyPackage },
          sealedLinkKey: sealLinkKey(crypto, friendshipKey, ref, leaf.linkKey),
        };
      });
      const price = { token: 'general' as const, sign: qsClientSigner(this.#core) };
      await caller.ask(price, (options) =>
        caller.services.queue.publishAddPackages({ addPackages }, options),
      );
      await ledger.turn((turn) => {
        for (const [key, each] of some) turn.put(packages, key, { ...each, isPublished: true });
        pushSoon(this.#core, turn);
      });
    }
  }

  async #forgetExpired(): Promise<void> {
    const now = this.#core.clock.now();
    const expired = this.#core.ledger.list(packages).filter(([, each]) => each.notAfterMs < now);
    if (expired.length === 0) return;
    await this.#core.ledger.turn((turn) => {
      for (const [key] of expired) turn.delete(packages, key);
    });
  }

  #refOf({ keyPackage }: OwnPackage): string {
    return toHex(keyPackageRef(this.#core.crypto, keyPackage));
  }
}

/** A KeyPackage of ours as MLS wants it for a join. */
export function joinKeys({ keyPackage, leaf, ...own }: OwnPackage) {
  return {
    publicPackage: parseKeyPackage(keyPackage),
    privatePackage: {
      initPrivateKey: own.initPrivateKey,
      hpkePrivateKey: own.hpkePrivateKey,
      signaturePrivateKey: leaf.signing.privateKey,
    },
  };
}

/** A KeyPackage was used: its keys go, unless it is one of last resort. */
export function usedPackage(turn: Turn, ref: Uint8Array): void {
  const used = turn.get(packages, toHex(ref));
  if (used !== undefined && !used.isLastResort) turn.delete(packages, toHex(ref));
}

/** A KeyPackage that was claimed, found good by RFC 9420. */
export function readClaimed(core: Core, keyPackage: Uint8Array) {
  return validateKeyPackage(core.crypto, keyPackage, core.clock.now());
}

const NOTHING = new Uint8Array(0);
