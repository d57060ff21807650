import { encodeExternalSenders } from 'ts-mls/externalSender.js';
import type { Extension } from 'ts-mls/extension.js';
import { encodeRequiredCapabilities } from 'ts-mls/requiredCapabilities.js';
import type { RequiredCapabilities } from 'ts-mls/requiredCapabilities.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { EXTENSION } from './extensions.ts';
import {
  committing,
  entering,
  extension,
  externalLike,
  HUB,
  initOf,
  pskOf,
  referencesIn,
  staging,
} from './testing-checks.ts';
import type { Check } from './testing-checks.ts';
import { commitOf, forgeCommit, forgeProposal } from './testing-forge.ts';
import {
  addOf,
  byValue,
  contextOf,
  removeOf,
  roomExtension,
  withProposals,
} from './testing-scene.ts';
import { deliverProposal, makeExternalCommit, newActor } from './testing.ts';

/** RFC 9420 §11, §12.1.7 and §13: the extensions of a group. */

function context(says: string, of: string, ...extensions: readonly Extension[]): Check {
  return {
    says,
    of: `a GroupContext ${of}`,
    make: (scene) => committing(scene, contextOf(...extensions)),
  };
}

const nobody = {
  signaturePublicKey: new Uint8Array(32),
  credential: { credentialType: 'basic', identity: new Uint8Array(1) },
} as const;

export const CONTEXTS: readonly Check[] = [
  context(
    'the group has an extension twice (RFC 9420 §11)',
    'with two rooms',
    roomExtension('x'),
    roomExtension('y'),
  ),
  ...[EXTENSION.ratchetTree, EXTENSION.externalPub, EXTENSION.applicationId].map((type) =>
    context(
      'the group has an extension that does not belong to it (RFC 9420 §17.3)',
      `with extension ${type}`,
      extension(type),
    ),
  ),
  context(
    'the group has malformed external_senders (RFC 9420 §12.1.8.1)',
    'with empty external_senders',
    extension(EXTENSION.externalSenders),
  ),
  context(
    'the group has malformed external_senders (RFC 9420 §12.1.8.1)',
    'with bytes behind external_senders',
    extension(EXTENSION.externalSenders, Uint8Array.of(0, 0)),
  ),
  context(
    'the group has malformed external_senders (RFC 9420 §12.1.8.1)',
    'with external_senders in a long form',
    extension(EXTENSION.externalSenders, Uint8Array.of(0x40, 0)),
  ),
  context(
    'the group has malformed external_senders (RFC 9420 §12.1.8.1)',
    'with 257 external senders',
    extension(
      EXTENSION.externalSenders,
      encodeExternalSenders(Array.from({ length: 257 }, () => nobody)),
    ),
  ),
  context(
    'the group has malformed required_capabilities (RFC 9420 §11.1)',
    'with empty required_capabilities',
    extension(EXTENSION.requiredCapabilities),
  ),
  context(
    'a member does not support an extension of the group (RFC 9420 §13.4)',
    'with an extension that nobody supports',
    extension(0xf1ff),
  ),
  context(
    'a member lacks a capability that the group requires (RFC 9420 §11.1)',
    'that requires an extension',
    requiring({ extensionTypes: [0xf1ff] }),
  ),
  context(
    'a member lacks a capability that the group requires (RFC 9420 §11.1)',
    'that requires a proposal',
    requiring({ proposalTypes: [0xf001] }),
  ),
  context(
    'a member lacks a capability that the group requires (RFC 9420 §11.1)',
    'that requires a credential',
    requiring({ credentialTypes: ['x509'] }),
  ),
  {
    says: 'a member does not support an extension of the group (RFC 9420 §13.4)',
    of: 'an Add of who does not support the room state',
    make: async (scene) => {
      const bare = await newActor(scene.crypto, 'bare', { extensionTypes: [] });
      return staging(scene.group, await withProposals(scene, scene.add, [addOf(bare)]));
    },
  },
  context(
    'the group has more than 262144 bytes of extensions',
    'of 257 KiB',
    extension(EXTENSION.roomState, new Uint8Array(257 * 1024)),
  ),
];

function requiring(some: Partial<RequiredCapabilities>): Extension {
  const none = { extensionTypes: [], proposalTypes: [], credentialTypes: [] };
  return extension(
    EXTENSION.requiredCapabilities,
    encodeRequiredCapabilities({ ...none, ...some }),
  );
}

/** RFC 9420 §12.4.3.2: commits by who is no member yet. */
const reason = 'INVALID_PROPOSAL';

function enters(says: string, of: string, ...proposals: readonly Proposal[]): Check {
  return {
    says,
    of: `an external commit ${of}`,
    reason,
    make: (scene) => entering(scene, ...proposals),
  };
}
const psk = pskOf({ psktype: 'external', pskId: new Uint8Array(1), pskNonce: new Uint8Array(32) });

export const EXTERNALS: readonly Check[] = [
  {
    says: 'an external commit has no path (RFC 9420 §12.4.3.2)',
    of: 'an external commit without a path',
    make: (scene) => externalLike(scene, () => ({ path: undefined })),
  },
  {
    says: 'an external commit has not exactly one ExternalInit (RFC 9420 §12.4.3.2)',
    of: 'an external commit without an ExternalInit',
    reason,
    make: (scene) => externalLike(scene, () => ({ proposals: [] })),
  },
  enters(
    'an external commit has not exactly one ExternalInit (RFC 9420 §12.4.3.2)',
    'with two ExternalInits',
    initOf(32),
  ),
  {
    says: 'a kem_output has the wrong length (RFC 9420 §5.1)',
    of: 'an external commit with a short ExternalInit',
    make: (scene) =>
      externalLike(scene, () => ({
        proposals: [{ proposalOrRefType: 'proposal', proposal: initOf(31) }],
      })),
  },
  {
    says: 'a key is none that anybody could encrypt to (RFC 9420 §5.1)',
    of: 'an external commit with an ExternalInit of low order',
    make: (scene) => externalLike(scene, () => ({ proposals: byValue(initOf(32)) })),
  },
  enters(
    'an external commit removes more than one member (RFC 9420 §12.4.3.2)',
    'with two Removes',
    removeOf(0),
    removeOf(1),
  ),
  enters(
    'an external commit has a proposal of another type (RFC 9420 §12.4.3.2)',
    'with a new GroupContext',
    contextOf(),
  ),
  {
    says: 'an external commit has a proposal of another type (RFC 9420 §12.4.3.2)',
    of: 'an external commit with an Add',
    reason,
    make: (scene) => entering(scene, addOf(scene.hub)),
  },
  enters('a commit has the same PSK twice (RFC 9420 §12.2)', 'with a PSK twice', psk, psk),
  enters('a Remove names no member (RFC 9420 §12.1.3)', 'that removes a blank leaf', removeOf(3)),
  {
    says: 'an external commit refers to a proposal (RFC 9420 §12.4.3.2)',
    of: 'an external commit with a proposal by reference',
    reason,
    make: async ({ group, hub, outsider, external }) => {
      const tls = await forgeProposal(hub, group, HUB, removeOf(2));
      const pending = await deliverProposal(group, tls, hub, []);
      const commit = commitOf(external, ({ proposals }) => ({
        proposals: [...proposals, ...referencesIn(pending)],
      }));
      return staging(pending, await forgeCommit(outsider, pending, external, { commit }));
    },
  },
  {
    says: 'a path node has the wrong number of ciphertexts (RFC 9420 §7.6)',
    of: 'an external commit that encrypts to whom it removes',
    make: (scene) => entering(scene, removeOf(0)),
  },
  {
    says: 'a signature key is in the tree already (RFC 9420 §7.3)',
    of: 'an external commit of a member that leaves its old leaf in',
    make: async ({ group, b }) => {
      const made = await makeExternalCommit(b, group, true);
      const commit = commitOf(made, ({ proposals }) => ({ proposals: proposals.slice(1) }));
      return staging(group, await forgeCommit(b, group, made, { commit }));
    },
  },
];
