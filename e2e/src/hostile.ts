import { nodeCrypto as crypto } from '@roost/crypto/node';
import { asMember, NOTHING, where } from '@roost/ds/testing/people.fixture';
import { parseGroupInfo, parseHandshake } from '@roost/mls/message';
import { forgeCommit, forgeGroupInfo, forgeProposal } from '@roost/mls/testing-forge';
import type {
  PublishAddPackagesRequest,
  QueueServiceDefinition,
} from '@roost/proto/roost/queue/v1/queue';
import type { CallOptions } from '@roost/rpc/call';
import type { Client } from '@roost/rpc/client';
import type { Signer } from './chores.ts';
import { mutate, type Random } from './mutate.ts';
import type { Delivery, Pay, Prepared, Victim } from './victim.ts';

export const KINDS = ['commit', 'proposal', 'group-info', 'welcome', 'key-package'] as const;
export type Kind = (typeof KINDS)[number];

/** Somebody's KeyPackages, as they were published once. */
export interface Packages {
  readonly queue: Client<typeof QueueServiceDefinition>;
  readonly signer: Signer;
  readonly request: PublishAddPackagesRequest;
}

export interface Aim {
  readonly victim: Victim;
  readonly delivery: Delivery;
  readonly packages: Packages;
  readonly pay: Pay;
}

/** How an attempt ended: a lost race is no change either. */
export type End = 'accepted' | 'conflict';

/** So often a mutant is drawn anew that its owner could not sign, because it does not decode. */
const DRAWS = 12;
/** Where the structure is; what lies behind in a Welcome is ciphertext, which no server can judge. */
const HEAD_BYTES = 96;

/** Sends one mutant; half of those that decode are signed again by whom they are from. */
export async function attack(random: Random, kind: Kind, aim: Aim): Promise<End> {
  const { victim, delivery, packages, pay } = aim;
  const member = async (): Promise<CallOptions> => ({
    ...asMember(victim.founder),
    ...(await pay()),
  });
  const prepared = victim.commits[Math.floor(random() * victim.commits.length)];
  const { request, made } = prepared ?? victim.commits[0];
  const isSigned = random() < 0.5;
  if (kind === 'commit') {
    const tls = isSigned
      ? await signedCommit(random, victim, { request, made })
      : changed(random, made.tls);
    return endOf(await delivery.commit({ ...request, commit: { tls } }, await member()));
  }
  if (kind === 'group-info') {
    const { founder } = victim;
    const forged = (tls: Uint8Array) =>
      parses(parseGroupInfo, tls) && forgeGroupInfo(founder.actor, tls, {});
    const tls = await drawn(random, made.groupInfo, isSigned ? forged : undefined);
    return endOf(await delivery.commit({ ...request, groupInfo: { tls } }, await member()));
  }
  if (kind === 'welcome') {
    const [, add] = victim.commits;
    const welcome = { tls: headChanged(random, add.made.welcome ?? NOTHING) };
    return endOf(await delivery.commit({ ...add.request, welcome }, await member()));
  }
  if (kind === 'proposal') {
    const tls = isSigned ? await signedProposal(random, victim) : changed(random, victim.proposal);
    const asked = { ...asMember(victim.other), ...(await pay()) };
    return endOf(await delivery.propose({ ...where(victim.room), proposal: { tls } }, asked));
  }
  const { queue, signer } = packages;
  const [first] = packages.request.addPackages;
  const keyPackage = { tls: changed(random, first?.keyPackage?.tls ?? NOTHING) };
  const sealedLinkKey = first?.sealedLinkKey ?? NOTHING;
  const addPackages = [{ keyPackage, sealedLinkKey }];
  await queue.publishAddPackages({ addPackages }, { sign: signer, ...(await pay()) });
  return 'accepted';
}

function endOf({ result }: { readonly result?: { readonly $case: End } | undefined }): End {
  return result?.$case ?? 'conflict';
}

async function signedCommit(
  random: Random,
  victim: Victim,
  { made }: Prepared,
): Promise<Uint8Array> {
  const { founder, group } = victim;
  return await drawn(random, made.tls, async (tls) => {
    const message = parses(parseHandshake, tls);
    if (message === undefined || message.kind !== 'commit') return undefined;
    return (await forgeCommit(founder.actor, group, { ...made, tls }, {})).tls;
  });
}

async function signedProposal(
  random: Random,
  { other, group, proposal }: Victim,
): Promise<Uint8Array> {
  return await drawn(random, proposal, async (tls) => {
    const message = parses(parseHandshake, tls);
    if (message?.kind !== 'proposal') return undefined;
    return await forgeProposal(other.actor, group, message.sender, message.proposal);
  });
}

/** A mutant that can be signed again, if one comes; else the last that cannot. */
async function drawn(
  random: Random,
  bytes: Uint8Array,
  sign?: (mutant: Uint8Array) => Promise<Uint8Array> | Promise<Uint8Array | undefined> | undefined,
): Promise<Uint8Array> {
  let mutant = changed(random, bytes);
  if (sign === undefined) return mutant;
  for (let count = 0; count < DRAWS; count++) {
    const signed = await sign(mutant);
    if (signed !== undefined) return signed;
    mutant = changed(random, bytes);
  }
  return mutant;
}

function changed(random: Random, bytes: Uint8Array): Uint8Array {
  return mutate(random, bytes, crypto.random(256));
}

function headChanged(random: Random, bytes: Uint8Array): Uint8Array {
  const head = changed(random, bytes.subarray(0, HEAD_BYTES));
  return Uint8Array.of(...head, ...bytes.subarray(HEAD_BYTES));
}

function parses<T>(parse: (tls: Uint8Array) => T, tls: Uint8Array): T | undefined {
  try {
    return parse(tls);
  } catch {
    return undefined;
  }
}
