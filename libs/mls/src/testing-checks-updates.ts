import { utf8 } from '@roost/core/bytes';
import type { LeafNode } from 'ts-mls/leafNode.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { parseHandshake } from './message.ts';
import type { PublicGroup } from './public-group.ts';
import { stageProposal } from './stage.ts';
import {
  extension,
  HUB,
  memberAt,
  OTHER_SUITE,
  proposing,
  referencesIn,
  staging,
} from './testing-checks.ts';
import type { Attempt, Check } from './testing-checks.ts';
import { commitOf, forgeCommit, forgeProposal } from './testing-forge.ts';
import { addOf, byValue, contextOf, removeOf, roomExtension, updateBy } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { deliverProposal } from './testing.ts';

/** RFC 9420 §12.1.2 and §12.4: proposals ahead of their commit, and the Updates among them. */

/** An Update by b that is refused as soon as it is proposed. */
function proposed(says: string, of: string, forged: (leaf: LeafNode) => Partial<LeafNode>): Check {
  const make = async (scene: TestScene): Promise<Attempt> => {
    const { b, group } = scene;
    const proposal = await updateBy(group, b, 1, forged(b.keyPackage.leafNode));
    return proposing(scene, b, memberAt(1), { proposal });
  };
  return { says, of: `an Update ${of}`, make };
}

/** An Update by b that could be good by itself, and is not in this tree. */
function committed(
  says: string,
  of: string,
  forged: (scene: TestScene) => Partial<LeafNode>,
  signer: 'b' | 'c' = 'b',
): Check {
  const make = async (scene: TestScene): Promise<Attempt> => {
    const { a, b, group, update } = scene;
    const proposal = await updateBy(group, scene[signer], 1, forged(scene));
    const tls = await forgeProposal(b, group, memberAt(1), proposal);
    const pending = await deliverProposal(group, tls, b, []);
    const commit = commitOf(update, () => ({ proposals: referencesIn(pending) }));
    return staging(pending, await forgeCommit(a, pending, update, { commit }));
  };
  return { says, of: `a commit of an Update ${of}`, make };
}

/** A Remove by the hub for a group like this one. */
async function elsewhere(
  { group, hub }: TestScene,
  context: Partial<PublicGroup['context']>,
): Promise<Attempt> {
  const other = { ...group, context: { ...group.context, ...context } };
  const tls = await forgeProposal(hub, other, HUB, removeOf(1));
  const run = () => {
    const message = parseHandshake(tls);
    if (message.kind !== 'proposal') throw new Error('it is a proposal');
    return stageProposal(group, message, Date.now());
  };
  return { group, run };
}

/** A commit of a without a path, of what needs one. */
function pathless(
  of: string,
  proposals: (scene: TestScene) => Promise<PublicGroup | readonly Proposal[]>,
): Check {
  const make = async (scene: TestScene): Promise<Attempt> => {
    const made = await proposals(scene);
    const group = 'proposals' in made ? made : scene.group;
    const items = 'proposals' in made ? referencesIn(made) : byValue(...made);
    const commit = commitOf(scene.add, () => ({ proposals: items }));
    return staging(group, await forgeCommit(scene.a, group, scene.add, { commit }));
  };
  const says = 'the commit has no path and needs one (RFC 9420 §12.4)';
  return { says, of: `a commit without a path ${of}`, make };
}

export const UPDATES: readonly Check[] = [
  {
    says: 'the message is for another group (RFC 9420 §6)',
    of: 'a proposal for another group',
    make: (scene) => elsewhere(scene, { groupId: utf8('other') }),
  },
  {
    says: 'the message is for another epoch (RFC 9420 §12.4.2)',
    of: 'a proposal for the last epoch',
    reason: 'EPOCH_TOO_OLD',
    make: (scene) => elsewhere(scene, { epoch: 0n }),
  },
  {
    says: 'the signature of a leaf does not hold (RFC 9420 §7.3)',
    of: 'an Update whose leaf is signed for another place',
    make: async (scene) => {
      const proposal = await updateBy(scene.group, scene.b, 2);
      return proposing(scene, scene.b, memberAt(1), { proposal });
    },
  },
  proposed('an encryption key has the wrong length (RFC 9420 §5.1)', 'with a short key', () => ({
    hpkePublicKey: new Uint8Array(31),
  })),
  proposed(
    'a key is none that anybody could encrypt to (RFC 9420 §5.1)',
    'with a key of low order',
    () => ({ hpkePublicKey: new Uint8Array(32) }),
  ),
  proposed(
    "a leaf does not list the group's version and ciphersuite (RFC 9420 §7.2)",
    'for another suite',
    ({ capabilities }) => ({ capabilities: { ...capabilities, ciphersuites: [OTHER_SUITE] } }),
  ),
  proposed(
    'a leaf has an extension that it does not list (RFC 9420 §7.2)',
    'with an extension that it does not list',
    () => ({ extensions: [extension(0xf1ff)] }),
  ),
  committed(
    'an encryption key is in the tree already (RFC 9420 §7.3)',
    'with its old key',
    ({ b }) => ({ hpkePublicKey: b.keyPackage.leafNode.hpkePublicKey }),
  ),
  committed(
    'an encryption key is in the tree already (RFC 9420 §7.3)',
    'with the key of another',
    ({ c }) => ({ hpkePublicKey: c.keyPackage.leafNode.hpkePublicKey }),
  ),
  committed(
    'a signature key is in the tree already (RFC 9420 §7.3)',
    'with the leaf of another, who helps',
    () => ({}),
    'c',
  ),
  pathless('of a Remove', async () => [removeOf(1)]),
  pathless('of another GroupContext', async () => [contextOf(roomExtension('renamed'))]),
  pathless('of a Remove beside an Add', async ({ outsider }) => [addOf(outsider), removeOf(1)]),
  pathless('of an Update', async ({ b, group }) => {
    const tls = await forgeProposal(b, group, memberAt(1), await updateBy(group, b, 1));
    return deliverProposal(group, tls, b, []);
  }),
];
