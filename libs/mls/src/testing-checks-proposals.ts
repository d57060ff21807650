import { utf8 } from '@roost/core/bytes';
import type { Proposal } from 'ts-mls/proposal.js';
import { EXTENSION } from './extensions.ts';
import {
  committing,
  commitLike,
  extension,
  HUB,
  initOf,
  memberAt,
  pskOf,
  referencesIn,
  reinitOf,
  staging,
} from './testing-checks.ts';
import type { Check } from './testing-checks.ts';
import { commitOf, forgeCommit, forgeProposal } from './testing-forge.ts';
import { byValue, contextOf, removeOf, updateBy } from './testing-scene.ts';
import { deliverProposal } from './testing.ts';

/** RFC 9420 §10.1, §12.1 and §12.2: proposals by themselves, and beside each other. */

const reason = 'INVALID_PROPOSAL';

function alone(says: string, of: string, proposal: () => Proposal): Check {
  return { says, of, reason, make: (scene) => committing(scene, proposal()) };
}

function together(says: string, of: string, proposals: () => readonly Proposal[]): Check {
  return { says, of, reason, make: (scene) => committing(scene, ...proposals()) };
}

export const PROPOSALS: readonly Check[] = [
  alone('a Remove names no member (RFC 9420 §12.1.3)', 'a Remove of a blank leaf', () =>
    removeOf(3),
  ),
  alone('a Remove names no member (RFC 9420 §12.1.3)', 'a Remove beyond the tree', () =>
    removeOf(4_000_000_000),
  ),
  alone('a PSK nonce has the wrong length (RFC 9420 §12.1.4)', 'a PSK with a short nonce', () =>
    pskOf({ ...external, pskNonce: new Uint8Array(31) }),
  ),
  alone('a PSK nonce has the wrong length (RFC 9420 §12.1.4)', 'a PSK without a nonce', () =>
    pskOf({ ...external, pskNonce: new Uint8Array(0) }),
  ),
  alone('a PSK is for another group (RFC 9420 §12.1.4)', 'a PSK for a branch', () =>
    pskOf({ ...resumption, usage: 'branch' }),
  ),
  alone('a PSK is for another group (RFC 9420 §12.1.4)', 'a PSK for a reinitialization', () =>
    pskOf({ ...resumption, usage: 'reinit' }),
  ),
  alone(
    'a PSK is of an epoch that is still to come (RFC 9420 §8.6)',
    'a PSK of the next epoch',
    () => pskOf({ ...resumption, pskEpoch: 2n }),
  ),
  alone(
    'a ReInit asks for an unknown ciphersuite (RFC 9420 §12.1.5)',
    'a ReInit to a suite of GREASE',
    () => reinitOf({ cipherSuite: 'MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448' }),
  ),
  alone('a ReInit names no other group (RFC 9420 §11.2)', 'a ReInit to the same group', () =>
    reinitOf({ groupId: utf8('group') }),
  ),
  alone('a ReInit names no other group (RFC 9420 §11.2)', 'a ReInit to no group', () =>
    reinitOf({ groupId: new Uint8Array(0) }),
  ),
  {
    says: 'the group has an extension that does not belong to it (RFC 9420 §17.3)',
    of: 'a ReInit with an extension of a GroupInfo',
    make: (scene) =>
      committing(scene, reinitOf({ extensions: [extension(EXTENSION.externalPub)] })),
  },
  alone('the proposal type is not supported (RFC 9420 §12.2)', 'an unknown proposal', () => ({
    proposalType: 0xf00d,
    proposalData: utf8('anything'),
  })),
  ...(['AppDataUpdate', 'AppEphemeral', 'SelfRemove'] as const).map((name, at): Check => ({
    says: `has a proposal of the type ${name}, which is not supported (RFC 9420 §12.2)`,
    of: `${name}, a proposal of a draft`,
    make: (scene) =>
      committing(scene, { proposalType: 0x0008 + at, proposalData: new Uint8Array(0) }),
  })),

  together('a commit updates or removes its own sender (RFC 9420 §12.2)', 'its own Remove', () => [
    removeOf(0),
  ]),
  {
    says: 'a commit updates or removes its own sender (RFC 9420 §12.2)',
    of: 'its own Update',
    reason,
    make: async (scene) => committing(scene, await updateBy(scene.group, scene.a, 0)),
  },
  {
    says: 'a commit updates or removes its own sender (RFC 9420 §12.2)',
    of: 'its own Update by reference',
    reason,
    make: async (scene) => {
      const { a, group, update } = scene;
      const tls = await forgeProposal(a, group, memberAt(0), await updateBy(group, a, 0));
      const pending = await deliverProposal(group, tls, a, []);
      const commit = commitOf(update, () => ({ proposals: referencesIn(pending) }));
      return staging(pending, await forgeCommit(a, pending, update, { commit }));
    },
  },
  together(
    'a commit updates or removes a leaf twice (RFC 9420 §12.2)',
    'two Removes of one',
    () => [removeOf(1), removeOf(1)],
  ),
  {
    says: 'a commit updates or removes a leaf twice (RFC 9420 §12.2)',
    of: 'the Update and the Remove of one leaf',
    reason,
    make: async (scene) => {
      const { a, b, group, update } = scene;
      const tls = await forgeProposal(b, group, memberAt(1), await updateBy(group, b, 1));
      const pending = await deliverProposal(group, tls, b, []);
      const proposals = [...referencesIn(pending), ...byValue(removeOf(1))];
      const commit = commitOf(update, () => ({ proposals }));
      return staging(pending, await forgeCommit(a, pending, update, { commit }));
    },
  },
  together('a commit has the same PSK twice (RFC 9420 §12.2)', 'a PSK twice', () => [
    pskOf(external),
    pskOf(external),
  ]),
  together(
    'a commit changes the GroupContext twice (RFC 9420 §12.2)',
    'two changes of the context',
    () => [contextOf(), contextOf()],
  ),
  together('a ReInit stands beside other proposals (RFC 9420 §12.2)', 'a ReInit and a PSK', () => [
    reinitOf({}),
    pskOf(external),
  ]),
  together('a member commits an ExternalInit (RFC 9420 §12.2)', "a member's ExternalInit", () => [
    initOf(32),
  ]),
  {
    says: 'the commit refers to a proposal that is not here (RFC 9420 §12.4)',
    of: 'a reference to a proposal of another epoch',
    reason,
    make: (scene) =>
      commitLike(scene, () => ({
        proposals: [{ proposalOrRefType: 'reference', reference: scene.crypto.random(32) }],
      })),
  },
  {
    says: 'a commit refers to a proposal twice (RFC 9420 §12.4)',
    of: 'a PSK by reference, twice',
    reason,
    make: async (scene) => {
      const { a, hub, group, update } = scene;
      const tls = await forgeProposal(hub, group, HUB, pskOf(external));
      const pending = await deliverProposal(group, tls, hub, []);
      const refs = referencesIn(pending);
      const commit = commitOf(update, () => ({ proposals: [...refs, ...refs] }));
      return staging(pending, await forgeCommit(a, group, update, { commit }));
    },
  },
  {
    says: 'handshake message has a list of too many entries',
    of: 'a commit of 1,281 proposals',
    make: (scene) => committing(scene, ...Array.from({ length: 1_281 }, () => removeOf(1))),
  },
  {
    says: 'handshake message has a list of too many entries',
    of: 'a commit of 20 GroupContexts with 1,400 extensions each',
    make: (scene) => {
      const extensions = Array.from({ length: 1_400 }, () => extension(0xf1ff));
      return committing(scene, ...Array.from({ length: 20 }, () => contextOf(...extensions)));
    },
  },
];

const external = {
  psktype: 'external',
  pskId: utf8('a key that both know'),
  pskNonce: new Uint8Array(32),
} as const;

const resumption = {
  psktype: 'resumption',
  usage: 'application',
  pskGroupId: utf8('group'),
  pskEpoch: 0n,
  pskNonce: new Uint8Array(32),
} as const;
