import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { type Domain, parseDomain } from '@roost/core/ids';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { makeAsRoot } from '@roost/identity/authority';
import { callerOver } from './caller.fixture.ts';
import { Ledger } from './ledger.ts';
import { NodeStore } from './node/store.ts';
import { trusts } from './state.ts';
import { Trust } from './trust.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-trust-'));
afterAll(() => rmSync(folder, { recursive: true }));

const [home, b, c] = ['a.example', 'b.example', 'c.example'].map((name) => parseDomain(name)) as [
  Domain,
  Domain,
  Domain,
];
let stores = 0;

/** A client of A; `roots` is what each homeserver publishes, by way of ours. */
async function scene() {
  const time = { now: Date.now() };
  const clock = { now: () => time.now, advance: (ms: number) => void (time.now += ms) };
  const store = NodeStore.open(join(folder, String(stores++)));
  const ledger = await Ledger.open(store, [trusts]);
  const asked: string[] = [];
  const hubs: string[] = [];
  const published = new Map<string, Uint8Array[]>();
  const refusals: Failure[] = [];
  const rootOf = (domain: Domain): Uint8Array => {
    const validity = { notBefore: clock.now() - HOUR_MS, notAfter: clock.now() + 400 * DAY_MS };
    return makeAsRoot(crypto, crypto.ed25519.generate(), domain, validity);
  };
  for (const domain of [home, b]) published.set(domain, [rootOf(domain)]);
  const services = {
    authentication: {
      getPublicKeys: async ({ domain = home }: { domain?: string | undefined }) => {
        asked.push(domain);
        const refusal = refusals.shift();
        if (refusal !== undefined) throw refusal;
        const roots = published.get(domain);
        if (roots === undefined) throw new Failure('PEER_UNAVAILABLE', `${domain} is away`);
        return { roots, intermediates: [], revoked: [] };
      },
    },
    delivery: {
      getExternalSender: async ({ domain = home }: { domain?: string | undefined }) => {
        hubs.push(domain);
        return { externalSender: Uint8Array.of(domain.length) };
      },
    },
  };
  const trust = new Trust({ ledger, crypto, clock, caller: callerOver(services), domain: home });
  return { trust, asked, hubs, published, rootOf, clock, ledger, refusals };
}

/** What needs a root of a domain to hold. */
const judgement = (trust: Trust, domain: Domain) => () =>
  trust.by(domain, ({ authority }) => `${authority.domain} ${authority.roots.size}`);

test('keys of another homeserver are fetched when they are needed, once, by our own', async () => {
  const { trust, asked } = await scene();
  expect(await trust.judge(judgement(trust, b))).toBe('b.example 1');
  expect(await trust.judge(judgement(trust, b))).toBe('b.example 1');
  expect(asked).toEqual(['b.example']);
  const both = await Promise.all([trust.refresh(), trust.refresh()]);
  expect(both).toHaveLength(2);
  expect(asked).toEqual(['b.example', 'a.example']);
});

test('where nobody answers, keys are asked for once more', async () => {
  const { trust, asked, refusals } = await scene();
  refusals.push(new Failure('DRAINING', 'going'));
  await trust.refresh();
  expect(asked).toEqual(['a.example', 'a.example']);
  expect(trust.by(home, ({ authority }) => authority.domain)).toBe('a.example');
  refusals.push(new Failure('DRAINING', 'going'), new Failure('UNAVAILABLE', 'gone'));
  await expect(trust.refresh(HOUR_MS, b)).rejects.toThrow('gone');
});

test('the first roots of a homeserver are kept: others are refused, continued ones are taken', async () => {
  const { trust, published, rootOf, clock } = await scene();
  await trust.refresh(Infinity, b);
  const before = published.get(b) ?? [];
  published.set(b, [rootOf(b)]);
  clock.advance(HOUR_MS);
  await expect(trust.refresh(0, b)).rejects.toThrow('b.example has other root keys than it had');
  expect(await trust.judge(judgement(trust, b))).toBe('b.example 1');
  published.set(b, [rootOf(b), ...before]);
  await trust.refresh(0, b);
  expect(await trust.judge(judgement(trust, b))).toBe('b.example 2');
});

test('keys that a homeserver says are of another domain are not taken for its own', async () => {
  const { trust, published, rootOf } = await scene();
  published.set(c, [rootOf(b)]);
  await expect(trust.judge(judgement(trust, c))).rejects.toThrow('has no root keys of its own');
  published.set(c, [rootOf(c), rootOf(b)]);
  expect(await trust.judge(judgement(trust, c))).toBe('c.example 1');
});

test('what does not fit is judged again by fresh keys of that homeserver alone, and then is forged', async () => {
  const { trust, asked, clock } = await scene();
  await trust.refresh(Infinity, b);
  clock.advance(2 * HOUR_MS);
  let judged = 0;
  const forged = () =>
    trust.by(b, () => {
      judged++;
      throw new Failure('UNAUTHENTICATED', 'forged');
    });
  await expect(trust.judge(forged)).rejects.toThrow('forged');
  expect([judged, asked]).toEqual([2, ['b.example', 'b.example']]);
});

test('who is away is why a judgement fails, and what is known is judged without asking', async () => {
  const { trust, asked } = await scene();
  await expect(trust.judge(judgement(trust, c))).rejects.toMatchObject({
    reason: 'PEER_UNAVAILABLE',
  });
  expect(trust.judgeNow(judgement(trust, c))).toBeUndefined();
  await trust.refresh(Infinity, b);
  expect(trust.judgeNow(judgement(trust, b))).toBe('b.example 1');
  expect(asked).toEqual(['c.example', 'b.example']);
});

test('a judgement that passes over what it does not know gets another chance by fresh keys', async () => {
  const { trust } = await scene();
  const known = () => {
    try {
      return judgement(trust, b)();
    } catch {
      return 'nobody';
    }
  };
  expect(trust.judgeNow(known)).toBeUndefined();
  expect(await trust.judge(known)).toBe('b.example 1');
});

test('whoever names homeservers without end is not followed', async () => {
  const { trust, asked } = await scene();
  const many = Array.from({ length: 100 }, (_, at) => parseDomain(`x${at}.example`));
  const all = () =>
    many.map((domain) => {
      try {
        return judgement(trust, domain)();
      } catch {
        return 'nobody';
      }
    });
  await trust.judge(all);
  expect(asked).toHaveLength(16);
});

test('others are asked again after half a day, and one that is away is passed over', async () => {
  const { trust, asked, published, clock } = await scene();
  await trust.refresh();
  await trust.refresh(Infinity, b);
  published.delete(b);
  clock.advance(13 * HOUR_MS);
  await trust.refreshOthers();
  expect(asked).toEqual(['a.example', 'b.example', 'a.example', 'b.example']);
});

test('what a hub proposes by is asked of it when one of its groups is entered, once', async () => {
  const { trust, hubs } = await scene();
  await trust.judge(judgement(trust, b));
  expect(hubs).toEqual([]);
  await trust.meetHub(b);
  await trust.refresh(0, b);
  await trust.meetHub(b);
  expect(trust.hubSender(b)).toEqual(Uint8Array.of(b.length));
  await trust.refresh();
  await trust.meetHub(home);
  expect(hubs).toEqual([b, home]);
});
