import { bindingOf } from '@roost/bus/queue-config';
import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, parseDomain } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Executor } from '@roost/postgres/executor';
import type { Entry } from '../queue-writer.ts';
import {
  answerClaim,
  emptyPackages,
  findClaim,
  findLastResort,
  findLow,
  insertClaim,
  markLow,
  takePackages,
  type ClaimedPackage,
} from '../store/add-packages.ts';
import { bindHandles, bindLastResort, lockHandles } from '../store/handles.ts';
import { lockQueues } from '../store/queues.ts';
import { findClientsByToken } from '../store/records.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { parseBytes } from './parse.ts';

/** Of a last-resort handle; the client replaces it by one of its own in each group that it joins. */
const BINDINGS_MAX = 1_000;
const PACKAGE_BYTES_MAX = 65_536;
const PACKAGES_MAX = 64;

interface Claim {
  readonly claimId: Uint8Array;
  readonly tokenHash: Uint8Array;
  readonly groupId: GroupId;
  /** The homeserver of whoever claims. */
  readonly requester: Domain;
}

interface Chosen {
  readonly taken: readonly ClaimedPackage[];
  readonly lastResort: readonly ClaimedPackage[];
}

interface AnsweredClaim {
  readonly response: Uint8Array;
  /** Whose single-use packages became fewer. */
  readonly takenFrom: readonly bigint[];
  /** How many were of the kind that is handed out again and again. */
  readonly lastResorts: number;
}

export function claimAddPackages(deps: Dependencies): QueueHandlers['claimAddPackages'] {
  const { database, crypto, records } = deps;
  return async (request, { source }) => {
    records.assertHere(parseDomain(request.ownerDomain, 'owner_domain'));
    const claim: Claim = {
      claimId: parseBytes(request.claimId, 16, 'claim_id'),
      tokenHash: crypto.sha256(parseBytes(request.friendshipToken, 32, 'friendship_token')),
      groupId: GroupId.parse(request.groupId, 'group_id'),
      requester: source ?? deps.domain,
    };
    records.assertHub(claim.groupId.domain);

    const answered = await database.transaction((tx) => claimOnce(tx, deps, claim));
    const { response, takenFrom, lastResorts } = answered;
    deps.events.claimed({ single: takenFrom.length, lastResort: lastResorts });
    await tellLowWater(deps, takenFrom);
    return { addPackages: decodePackages(response) };
  };
}

async function claimOnce(tx: Executor, deps: Dependencies, claim: Claim): Promise<AnsweredClaim> {
  const { keys, clock } = deps;
  const tag = keys.claimTag(claim.tokenHash, claim.groupId);
  const [made] = await insertClaim(tx, claim.claimId, tag, new Date(clock.now()));
  if (made === undefined) {
    const [earlier] = await findClaim(tx, claim.claimId);
    const response = earlier?.response ?? undefined;
    if (response === undefined || earlier === undefined || !equal(earlier.requestTag, tag)) {
      throw new Failure('ID_REUSED', 'this claim_id was used for another claim');
    }
    return { response, takenFrom: [], lastResorts: 0 };
  }
  const chosen = await choose(tx, deps, claim);
  const { taken, lastResort } = chosen;
  await bind(tx, deps, claim.groupId, chosen);
  const response = encodePackages([...taken, ...lastResort]);
  await answerClaim(tx, claim.claimId, response);
  const takenFrom = taken.map(({ clientId }) => clientId);
  return { response, takenFrom, lastResorts: lastResort.length };
}

/** One package of each client: single-use ones, and where there is none, a last resort. */
async function choose(
  tx: Executor,
  { crypto, clock }: Dependencies,
  claim: Claim,
): Promise<Chosen> {
  const now = new Date(clock.now());
  const clients = (await findClientsByToken(tx, claim.tokenHash)).map(({ clientId }) => clientId);
  if (clients.length === 0) {
    throw new Failure('USER_UNKNOWN', 'this friendship token opens nothing');
  }
  const taken = await takePackages(tx, clients, now);
  await emptyPackages(
    tx,
    taken.map(({ packageId }) => packageId),
  );
  const isServed = new Set(taken.map(({ clientId }) => clientId));
  const others = clients.filter((clientId) => !isServed.has(clientId));
  const [pick = 0] = crypto.sha256(new TextEncoder().encode(claim.requester));
  const lastResort = others.length === 0 ? [] : await findLastResort(tx, others, now, pick);
  if (taken.length + lastResort.length === 0) {
    throw new Failure('KEY_PACKAGES_EXHAUSTED', 'there is no KeyPackage to claim');
  }
  return { taken, lastResort };
}

async function bind(
  tx: Executor,
  { crypto }: Dependencies,
  groupId: GroupId,
  { taken, lastResort }: Chosen,
): Promise<void> {
  const hashes = (of: readonly ClaimedPackage[]) => of.map(({ handle }) => crypto.sha256(handle));
  const bindings = (of: readonly ClaimedPackage[]) =>
    of.map(({ handle }) => bindingOf(crypto, handle, groupId));
  const hub = groupId.domain;
  if (taken.length > 0) {
    await lockHandles(tx, hashes(taken));
    await bindHandles(
      tx,
      hashes(taken),
      bindings(taken),
      taken.map(() => hub),
    );
  }
  if (lastResort.length > 0) {
    await bindLastResort(tx, hashes(lastResort), bindings(lastResort), hub, BINDINGS_MAX);
  }
}

/**
 * Puts a notice into the queue of whoever runs low; once, until the pool is filled. In a transaction of its
 * own, so that no claim waits for a queue; if it gets lost, the next claim tells.
 */
async function tellLowWater(deps: Dependencies, clientIds: readonly bigint[]): Promise<void> {
  const { database, clock, limits, writer, listeners } = deps;
  if (clientIds.length === 0) return;
  const low = await findLow(database, clientIds, new Date(clock.now()), limits.lowWater);
  if (low.length === 0) return;
  const ids = low.map(({ clientId }) => clientId);
  const stored = await database.transaction(async (tx) => {
    await lockQueues(tx, ids, limits.runsPerSecret);
    const told = await markLow(tx, ids);
    const isTold = new Set(told.map(({ clientId }) => clientId));
    const arrivals = new Map<bigint, Entry[]>();
    for (const { clientId, available } of low) {
      if (isTold.has(clientId)) arrivals.set(clientId, [writer.lowWaterEntry(Number(available))]);
    }
    return await writer.append(tx, arrivals);
  });
  deps.events.lowWaterTold(stored.length);
  for (const { clientId, runs } of stored) listeners.deliver(clientId, runs);
}

function encodePackages(packages: readonly ClaimedPackage[]): Uint8Array {
  return encode((writer) =>
    writer.vector(packages, (each, { keyPackage, sealedLinkKey }) => {
      each.opaque(keyPackage).opaque(sealedLinkKey);
    }),
  );
}

function decodePackages(response: Uint8Array) {
  return decodeAll(response, 'answer to a claim', (reader) =>
    reader.vector(PACKAGES_MAX, (each) => ({
      keyPackage: { tls: each.opaque(PACKAGE_BYTES_MAX) },
      sealedLinkKey: each.opaque(SEALED_LINK_KEY_BYTES_MAX),
    })),
  );
}

const SEALED_LINK_KEY_BYTES_MAX = 256;
