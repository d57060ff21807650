import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import type { IssuerKeySet } from '@roost/identity/issuer-keys';
import { blindSignBatch, generateIssuerKey } from '@roost/tokens/node/issuer';
import { importPublicKey, verifyToken } from '@roost/tokens/node/verifier';
import { Ledger } from './ledger.ts';
import { NodeStore } from './node/store.ts';
import { type IssueBatch, type Issuer, Wallet, walletShelves } from './wallet.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-wallet-'));
afterAll(() => rmSync(folder, { recursive: true }));

const domain = parseDomain('example.org');
const [first, second] = [await generateIssuerKey(), await generateIssuerKey()];
const NOW = 20_000 * DAY_MS;

/** An issuer as the AAS is one: a batch number takes the same bytes again, and no others. */
class PlainIssuer implements Issuer {
  key = first;
  nowMs = NOW;
  allowance = 1_000;
  readonly issued = new Map<string, Uint8Array>();
  readonly asked: IssueBatch[] = [];
  losesAnswer = false;

  async keys(): Promise<IssuerKeySet> {
    const window = { notBefore: 0n, notAfter: BigInt(this.nowMs + DAY_MS) };
    const key = { state: 'current' as const, ...window, spki: this.key.publicKey };
    const keys = (['general', 'contact'] as const).map((tokenClass) => ({ tokenClass, ...key }));
    return { domain, createdMs: BigInt(this.nowMs), keys };
  }

  async issue(batch: IssueBatch): Promise<Uint8Array> {
    this.asked.push(batch);
    const number = `${batch.tokenClass}/${batch.period}/${batch.batchNumber}`;
    const earlier = this.issued.get(number);
    if (earlier !== undefined && String(earlier) !== String(batch.blinded)) {
      throw new Failure('BATCH_USED', 'used', { lowestFree: 7 });
    }
    const size = batch.blinded.length / 256;
    if (earlier === undefined && size > this.allowance) {
      throw new Failure('ALLOWANCE_EXHAUSTED', 'no more', { retryAfterMs: 1_000 });
    }
    if (earlier === undefined) this.allowance -= size;
    this.issued.set(number, batch.blinded);
    if (this.losesAnswer) throw new Failure('UNAVAILABLE', 'gone');
    return blindSignBatch(this.key, batch.blinded);
  }
}

let stores = 0;
async function walletOf(issuer: PlainIssuer, store = NodeStore.open(join(folder, `${stores++}`))) {
  const ledger = await Ledger.open(store, walletShelves);
  const clock = { now: () => issuer.nowMs };
  return { store, wallet: new Wallet({ ledger, issuer, crypto: nodeCrypto, clock, domain }) };
}

test('tokens are drawn in one full batch and given out once each, also over a restart', async () => {
  const issuer = new PlainIssuer();
  const { store, wallet } = await walletOf(issuer);
  const taken = [await wallet.take('general'), await wallet.take('general')];
  await wallet.flush();
  const again = await walletOf(issuer, store);
  taken.push(await again.wallet.take('general'));

  expect(issuer.asked).toHaveLength(1);
  expect(again.wallet.count('general')).toBe(97);
  expect(new Set(taken.map(String)).size).toBe(3);
  const verifier = importPublicKey(first.publicKey);
  expect(taken.every((token) => verifyToken(verifier, token))).toBe(true);
});

test('a batch whose answer was lost is asked for with the same bytes, and charged once', async () => {
  const issuer = new PlainIssuer();
  const { store, wallet } = await walletOf(issuer);
  issuer.losesAnswer = true;
  await expect(wallet.take('contact')).rejects.toThrow('gone');
  issuer.losesAnswer = false;
  const again = await walletOf(issuer, store);
  await again.wallet.take('contact');

  expect(String(issuer.asked[1]?.blinded)).toBe(String(issuer.asked[0]?.blinded));
  expect(issuer.allowance).toBe(900);
});

test('a used batch number is replaced by the lowest free one', async () => {
  const issuer = new PlainIssuer();
  issuer.issued.set(`general/${NOW / DAY_MS}/0`, Uint8Array.of(1));
  const { wallet } = await walletOf(issuer);
  await wallet.take('general');

  expect(issuer.asked.map(({ batchNumber }) => batchNumber)).toEqual([0, 7]);
});

test('where the allowance has no full batch left, a smaller one is drawn, then none is asked for', async () => {
  const issuer = new PlainIssuer();
  issuer.allowance = 12;
  const { wallet } = await walletOf(issuer);
  for (let count = 0; count < 12; count++) await wallet.take('general');
  await expect(wallet.take('general')).rejects.toThrow('no more');
  const asked = issuer.asked.length;
  await expect(wallet.take('general')).rejects.toThrow('used up');

  expect(issuer.asked).toHaveLength(asked);
  issuer.nowMs += 2_000;
  issuer.allowance = 100;
  await expect(wallet.take('general')).resolves.toHaveLength(354);
});

test('tokens of a key that retires are dropped, and the next batch is for the current key', async () => {
  const issuer = new PlainIssuer();
  const { wallet } = await walletOf(issuer);
  await wallet.take('general');
  issuer.nowMs += DAY_MS;
  issuer.key = second;
  const token = await wallet.take('general');

  expect(verifyToken(importPublicKey(second.publicKey), token)).toBe(true);
});
