import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Failure, type Reason } from '@roost/core/failure';
import { GroupId, parseDomain, printId, uuidOf } from '@roost/core/ids';
import { HOUR_MS, sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { authorityOf, clientOf, now } from '@roost/identity/actors.fixture';
import type { PublishedKeys } from '@roost/identity/authority';
import { encodeCommitAad, makeLeafIdentity } from '@roost/identity/leaf';
import { parseHandshake } from '@roost/mls/message';
import { templateOf } from '@roost/mls/templates';
import { callerOver } from './caller.fixture.ts';
import type { Core } from './core.ts';
import { found } from './groups.ts';
import { Lanes } from './lanes.ts';
import { performLeave } from './leave.ts';
import { Ledger } from './ledger.ts';
import { declare } from './links.ts';
import { advance } from './members.ts';
import { Mls } from './mls.ts';
import { News, newsShelves } from './news.ts';
import { NodeStore } from './node/store.ts';
import { planOf } from './plan.ts';
import { performRecheck } from './recheck.ts';
import { type Account, accounts, groups, SELF, stateShelves, states } from './state.ts';
import { type Change, tasks } from './task.ts';
import { recheckLane } from './tidy.ts';
import { Trust } from './trust.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-recheck-'));
afterAll(() => rmSync(folder, { recursive: true }));
let stores = 0;

const home = authorityOf(parseDomain('b.example'));
const c = authorityOf(parseDomain('c.example'));
const id = GroupId.of(uuidOf(crypto.random(16)), home.issuer.domain);
const chat = printId(id);
const ann = clientOf(home, 'ann');

/** An owner at B in a group of B; what C publishes comes by B, or B's refusal does. */
async function scene(says: { keys: PublishedKeys | Reason }) {
  const time = { ms: now + HOUR_MS };
  const clock = { now: () => time.ms };
  const store = NodeStore.open(join(folder, String(stores++)));
  const ledger = await Ledger.open(store, [...stateShelves, tasks, ...newsShelves]);
  let asked = 0;
  const services = {
    authentication: {
      async getPublicKeys({ domain = '' }: { domain?: string | undefined }) {
        if (domain !== c.issuer.domain) return home.published;
        asked++;
        if (typeof says.keys !== 'string') return says.keys;
        throw new Failure(says.keys, says.keys, { peer: domain });
      },
    },
    delivery: { getExternalSender: async () => ({ externalSender: new Uint8Array(0) }) },
  };
  const trust = new Trust({
    ledger,
    crypto,
    clock,
    caller: callerOver(services),
    domain: home.issuer.domain,
  });
  const aways: unknown[] = [];
  const lanes: Lanes = new Lanes({
    ledger,
    crypto,
    perform: async (_, key, task) =>
      task.kind === 'recheck' ? performRecheck(core, key, task) : 'blocked',
    refused: async ({ error }) => void aways.push(error),
    reachable: (isReachable) => void (isReachable || aways.push('ours')),
    peerAway: (_, domain) => void (domain !== undefined && aways.push(domain)),
    report: (error) => aways.push(error),
  });
  const news = new News(ledger);
  const parts = { ledger, crypto, clock, trust, lanes, news, mls: new Mls(crypto) };
  const core = parts as object as Core;
  await trust.refresh();
  const credentials = { ...ann, client: ann.clientId, notAfterMs: now + 9 * HOUR_MS };
  const account = { domain: home.issuer.domain, signing: ann.key, credentials };
  await ledger.turn((turn) => turn.put(accounts, SELF, account as object as Account));
  await ledger.turn(async (turn) => {
    await found(core, turn, { id, template: templateOf('group'), title: 'B and C' });
  });
  const events = () => news.unread().map(({ kind }) => kind);
  return { core, ledger, lanes, time, says, aways, news, events, asked: () => asked };
}

/** Somebody of C is in the group from now on, as its homeserver would see it. */
async function enter(
  { core, ledger }: Awaited<ReturnType<typeof scene>>,
  stranger = clientOf(c, 'cara'),
): Promise<void> {
  const [key, linkKey] = [crypto.ed25519.generate(), crypto.random(32)];
  const identity = makeLeafIdentity(crypto, stranger, key.publicKey, linkKey);
  const leaf = { ...key, identity, extensions: [], nowMs: core.clock.now() };
  const { publicPackage: keyPackage } = await core.mls.keyPackage(leaf);
  await ledger.turn(async (turn) => {
    const [group, before] = [turn.get(groups, chat), turn.get(states, chat)];
    if (group === undefined || before === undefined) throw new Error('it was founded');
    const { user } = stranger.clientId;
    const added = [declare(core, group.keys, { leafKey: key.publicKey, linkKey, user })];
    const aad = encodeCommitAad({ added });
    const made = await core.mls.commit(before, [{ proposalType: 'add', add: { keyPackage } }], aad);
    turn.put(states, chat, made.next);
    const commit = parseHandshake(made.commit);
    await advance(core, turn, group, { before, after: made.next, commit });
  });
}

/** What is known of whoever came last. */
const last = (ledger: Ledger) => ledger.get(groups, chat)?.members.at(-1);

const rechecks = (ledger: Ledger) => ledger.list(tasks, `${recheckLane(chat)}/`).length;

async function until(isSo: () => boolean): Promise<void> {
  for (let waited = 0; !isSo() && waited < 10_000; waited += 5) await sleep(5);
  expect(isSo()).toBe(true);
}

const tidying = (here: Awaited<ReturnType<typeof scene>>) => planned(here, { kind: 'tidy' });

function planned({ core, ledger }: Awaited<ReturnType<typeof scene>>, change: Change) {
  const [group, state] = [ledger.get(groups, chat), ledger.get(states, chat)];
  if (group === undefined || state === undefined) throw new Error('it was founded');
  return planOf(core, group, state, change)?.proposals;
}

test('whose homeserver ours may not ask is not accused and not removed: it is told once, and asked again', async () => {
  const here = await scene({ keys: 'FEDERATION_DENIED' });
  const { ledger, lanes, events, news, says, asked } = here;
  await enter(here);
  await until(() => events().includes('unjudged'));
  expect(last(ledger)).toMatchObject({ unjudged: 'c.example' });
  expect(news.unread()).toContainEqual({ kind: 'unjudged', chat, domain: 'c.example' });
  expect(tidying(here)).toBeUndefined();

  const before = asked();
  lanes.hurryOn(recheckLane(chat));
  await until(() => asked() > before);
  says.keys = c.published;
  await until(() => (lanes.hurryOn(recheckLane(chat)), last(ledger)?.identity !== undefined));
  await until(() => rechecks(ledger) === 0);
  expect(last(ledger)).toMatchObject({ identity: { userName: 'cara@c.example' } });
  expect(last(ledger)?.unjudged).toBeUndefined();
  expect(events()).toEqual(['unjudged', 'added']);
  expect(here.aways).toEqual([]);
  await lanes.close();
});

test('whoever may removes them by the name of their homeserver, and nobody who is known', async () => {
  const here = await scene({ keys: 'FEDERATION_DENIED' });
  await enter(here);
  await until(() => here.events().includes('unjudged'));
  const byDomain = (text: string) =>
    planned(here, { kind: 'remove-unjudged', domain: parseDomain(text) });
  expect(byDomain('c.example')).toEqual([{ proposalType: 'remove', remove: { removed: 1 } }]);
  expect(byDomain('b.example')).toBeUndefined();
  here.says.keys = c.published;
  here.lanes.hurryOn(recheckLane(chat));
  await until(() => last(here.ledger)?.identity !== undefined);
  expect(byDomain('c.example')).toBeUndefined();
  await here.lanes.close();
});

test('who does not fit what its homeserver says now is forged, and removed', async () => {
  const here = await scene({ keys: c.published });
  await enter(here, clientOf(authorityOf(c.issuer.domain), 'mallory'));
  await until(() => here.events().includes('forged'));
  expect(last(here.ledger)?.unjudged).toBeUndefined();
  expect(tidying(here)).toEqual([{ proposalType: 'remove', remove: { removed: 1 } }]);
  expect(here.events()).toEqual(['forged']);
  await until(() => rechecks(here.ledger) === 0);
  await here.lanes.close();
});

test('other roots than it had are an answer: who is of them is forged', async () => {
  const here = await scene({ keys: c.published });
  await here.core.trust.refresh(0, c.issuer.domain);
  here.time.ms += HOUR_MS;
  const other = authorityOf(c.issuer.domain);
  here.says.keys = other.published;
  await enter(here, clientOf(other, 'mallory'));
  await until(() => here.events().includes('forged'));
  expect(here.events()).toEqual(['forged']);
  await here.lanes.close();
});

test('what was revoked, and what was signed by another, is forged by the keys that are pinned', async () => {
  const cara = clientOf(c, 'cara');
  const mallory = { ...clientOf(c, 'mallory'), privateKey: crypto.ed25519.generate().privateKey };
  const revoked = [crypto.sha256(cara.clientCredential)];
  for (const stranger of [cara, mallory]) {
    const here = await scene({ keys: { ...c.published, revoked } });
    await here.core.trust.refresh(0, c.issuer.domain);
    here.time.ms += HOUR_MS;
    here.says.keys = 'FEDERATION_DENIED';
    await enter(here, stranger);
    await until(() => here.events().includes('forged'));
    expect(here.events()).toEqual(['forged']);
    expect(tidying(here)).toHaveLength(1);
    await here.lanes.close();
  }
});

test('who is known by the keys that are pinned stays, whatever the policy is', async () => {
  const here = await scene({ keys: c.published });
  await here.core.trust.refresh(0, c.issuer.domain);
  here.says.keys = 'FEDERATION_DENIED';
  await enter(here);
  expect(last(here.ledger)).toMatchObject({ identity: { userName: 'cara@c.example' } });
  expect(here.events()).toEqual(['added']);
  await here.lanes.close();
});

test('a homeserver that is away is told of with its people, and our own says nothing of others', async () => {
  const away = await scene({ keys: 'PEER_UNAVAILABLE' });
  await enter(away);
  await until(() => away.aways.includes('c.example') && away.events().length > 0);
  expect(away.events()).toEqual(['unjudged']);
  await away.lanes.close();

  const ours = await scene({ keys: 'UNAVAILABLE' });
  await enter(ours);
  await until(() => ours.aways.includes('ours'));
  expect([ours.events(), last(ours.ledger)?.unjudged]).toEqual([[], 'c.example']);
  await ours.lanes.close();
});

test('beside somebody whom nobody can judge, who is forged is removed alone', async () => {
  const here = await scene({ keys: 'FEDERATION_DENIED' });
  await enter(here);
  await until(() => here.events().includes('unjudged'));
  const mallory = clientOf(home, 'mallory');
  await enter(here, { ...mallory, privateKey: crypto.ed25519.generate().privateKey });
  await until(() => here.events().includes('forged'));
  expect(tidying(here)).toEqual([{ proposalType: 'remove', remove: { removed: 2 } }]);
  expect(rechecks(here.ledger)).toBe(1);
  await here.lanes.close();
});

test('the last owner leaves the group to somebody whom nobody can judge, and does not delete it as an empty one', async () => {
  const here = await scene({ keys: 'FEDERATION_DENIED' });
  const { core, ledger } = here;
  await enter(here);
  await until(() => here.events().includes('unjudged'));
  const key = `${chat}/leave`;
  await ledger.turn((turn) => turn.put(tasks, key, { kind: 'leave' }));
  await performLeave(core, chat, key, { kind: 'leave' });
  const [commit, leave] = ledger.list(tasks, `${chat}/`).map(([, task]) => task);
  expect(leave).toEqual({ kind: 'leave' });
  const [group, state] = [ledger.get(groups, chat), ledger.get(states, chat)];
  if (group === undefined || state === undefined || commit?.kind !== 'commit') throw new Error();
  const { room } = planOf(core, group, state, commit.change) ?? {};
  const participant = last(ledger)?.participant;
  expect(room?.entries).toContainEqual({ participant, role: 'owner' });
  await here.lanes.close();
});
