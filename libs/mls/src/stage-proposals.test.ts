import { beforeAll, describe, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import type { Commit } from 'ts-mls/commit.js';
import type { Proposal } from 'ts-mls/proposal.js';
import type { ProposalOrRef } from 'ts-mls/proposalOrRefType.js';
import { EXTENSION } from './extensions.ts';
import { commitOf, forgeCommit, forgeProposal } from './testing-forge.ts';
import {
  addOf,
  addSigned,
  byValue,
  citing,
  contextOf,
  failureOf,
  makeScene,
  removeOf,
  roomExtension,
  updateBy,
  withProposals,
} from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import {
  deliverProposal,
  makeCommit,
  makeExternalCommit,
  makeProposal,
  newActor,
  stage,
} from './testing.ts';

let scene: TestScene;

beforeAll(async () => {
  scene = await makeScene(nodeCrypto);
});

type Case = [rule: string, what: string, proposals: () => Proposal[] | Promise<Proposal[]>];

describe('a commit', () => {
  test.each<Case>([
    ['§12.2', 'removes its sender', () => [removeOf(0)]],
    ['§12.2', 'removes a leaf twice', () => [removeOf(1), removeOf(1)]],
    ['§12.1.3', 'removes a blank leaf', () => [removeOf(3)]],
    ['§12.1.3', 'removes a leaf beyond the tree', () => [removeOf(4_000_000_000)]],
    ['§12.2', 'changes the context twice', () => [contextOf(), contextOf()]],
    ['§12.2', 'has a PSK twice', () => [psk(32), psk(32)]],
    ['§12.2', 'has a PSK of a large id twice', () => [psk(32, 200_000), psk(32, 200_000)]],
    ['§12.1.4', 'has a PSK with a short nonce', () => [psk(16)]],
    ['§12.1.4', 'has a PSK for a branch', () => [branchPsk()]],
    ['§12.2', 'has a ReInit beside a Remove', () => [reinit(), removeOf(1)]],
    ['§12.2', 'has an ExternalInit', () => [externalInit]],
    ['§12.2', 'has an unknown type', () => [{ proposalType: 0xf00d, proposalData: utf8('') }]],
    ['§12.2', 'has its own Update', async () => [await updateBy(scene.group, scene.a, 0)]],
  ])('%s: that %s is refused', async (rule, _, proposals) => {
    const made = await withProposals(scene, scene.add, await proposals());
    const failure = failureOf(() => stage(scene.group, made));
    expect(failure.reason).toBe('INVALID_PROPOSAL');
    expect(failure.message).toContain(citing(rule));
  });

  test.each<Case>([
    ['§10.1', 'with a wrong signature', () => [addOf({ keyPackage: unsigned() })]],
    [
      '§10.1',
      'with one key for two purposes',
      async () => [await addSigned(scene, ({ leafNode }) => ({ initKey: leafNode.hpkePublicKey }))],
    ],
    [
      '§10.1',
      'with another suite',
      async () => [await addSigned(scene, () => ({ cipherSuite: OTHER_SUITE }))],
    ],
    [
      '§7.3',
      'with a leaf that is not signed',
      async () => [
        await addSigned(scene, ({ leafNode }) => ({
          leafNode: { ...leafNode, signature: utf8('') },
        })),
      ],
    ],
    ['§7.2', 'that expired', async () => [await addUntil(-DAY_MS)]],
    ['§7.2', 'that is valid too long', async () => [await addUntil(91 * DAY_MS)]],
    ['§7.3', 'of a member', () => [addOf(scene.b)]],
    ['§7.3', 'twice', () => [addOf(scene.outsider), addOf(scene.outsider)]],
    ['§13.4', 'without support for the room state', async () => [await addWithoutSupport()]],
  ])('%s: that adds a KeyPackage %s is refused', async (rule, _, proposals) => {
    const made = await withProposals(scene, scene.add, await proposals());
    const failure = failureOf(() => stage(scene.group, made));
    expect(failure.reason).toBe('INVALID_MLS');
    expect(failure.message).toContain(citing(rule));
  });

  test.each<Case>([
    ['§11', 'twice', () => [contextOf(roomExtension('x'), roomExtension('y'))]],
    ['§17.3', 'of a GroupInfo', () => [contextOf(extension(EXTENSION.ratchetTree))]],
    ['§13.4', 'that nobody supports', () => [contextOf(extension(0xf1ff))]],
    ['§12.1.8.1', 'that is malformed', () => [contextOf(extension(EXTENSION.externalSenders))]],
    ['§12.1.8.1', 'with bytes behind it', () => [contextOf(nobodyAndMore)]],
    ['§11.1', 'that says nothing', () => [contextOf(extension(EXTENSION.requiredCapabilities))]],
    ['§11.1', 'that requires too much', () => [contextOf(requirement())]],
  ])('%s: that gives the group an extension %s is refused', async (rule, _, proposals) => {
    const made = await withProposals(scene, scene.update, await proposals());
    const failure = failureOf(() => stage(scene.group, made));
    expect(failure.reason).toBe('INVALID_MLS');
    expect(failure.message).toContain(citing(rule));
  });

  test('§12.4: that refers to a proposal which is not here is refused', async () => {
    const { a, group, update } = scene;
    const reference: ProposalOrRef = { proposalOrRefType: 'reference', reference: utf8('unknown') };
    const commit = commitOf(update, () => ({ proposals: [reference] }));
    const made = await forgeCommit(a, group, update, { commit });
    expect(failureOf(() => stage(group, made)).reason).toBe('INVALID_PROPOSAL');
  });

  test('§12.2: that refers to an Update of its own sender is refused', async () => {
    const { b, group } = scene;
    const sender = { senderType: 'member', leafIndex: 1 } as const;
    const tls = await forgeProposal(b, group, sender, await updateBy(group, b, 1));
    const pending = await deliverProposal(group, tls, b, []);
    const made = await makeCommit(b);
    const commit = commitOf(made, () => ({ proposals: referencesIn(pending) }));
    const forged = await forgeCommit(b, pending, made, { commit });
    expect(failureOf(() => stage(pending, forged)).message).toContain('its own sender');
  });

  test('§12.3: that refers to the Update of another renews the leaf of that one', async () => {
    const { group } = scene;
    const [a, b] = [{ ...scene.a }, { ...scene.b }];
    const tls = await makeProposal(b, await updateBy(group, b, 1));

    const pending = await deliverProposal(group, tls, b, [a]);
    const { updated, next } = stage(pending, await makeCommit(a));

    expect(updated).toEqual([1, 0]);
    expect(next.tree.leafAt(1)?.node.leafNodeSource).toBe('update');
  });
});

describe('an external commit', () => {
  type Change = (commit: Commit) => Partial<Commit>;
  const also = (...proposals: readonly (() => Proposal)[]): Change => {
    return (commit) => ({
      proposals: [...commit.proposals, ...byValue(...proposals.map((make) => make()))],
    });
  };
  test.each<[rule: string, what: string, change: Change]>([
    ['§12.4.3.2', 'without a path', () => ({ path: undefined })],
    ['§12.4.3.2', 'without an ExternalInit', () => ({ proposals: [] })],
    ['§12.4.3.2', 'with two', also(() => externalInit)],
    [
      '§12.4.3.2',
      'of two Removes',
      also(
        () => removeOf(0),
        () => removeOf(1),
      ),
    ],
    ['§12.4.3.2', 'of an Add', also(() => addOf(scene.hub))],
    [
      '§12.2',
      'of a PSK twice',
      also(
        () => psk(32),
        () => psk(32),
      ),
    ],
    ['§12.1.3', 'that removes nobody', also(() => removeOf(3))],
    ['§7.6', 'that encrypts to who is removed', also(() => removeOf(0))],
  ])('%s: %s is refused', async (rule, _, change) => {
    const { outsider, group, external } = scene;
    const commit = commitOf(external, change);
    const made = await forgeCommit(outsider, group, external, { commit });
    expect(failureOf(() => stage(group, made)).message).toContain(citing(rule));
  });

  test('§12.4.3.2: that refers to a proposal is refused', async () => {
    const { hub, outsider, group, external } = scene;
    const sender = { senderType: 'external', senderIndex: 0 } as const;
    const tls = await forgeProposal(hub, group, sender, removeOf(2));
    const pending = await deliverProposal(group, tls, hub, []);
    const commit = commitOf(external, ({ proposals }) => ({
      proposals: [...proposals, ...referencesIn(pending)],
    }));
    const made = await forgeCommit(outsider, pending, external, { commit });
    expect(failureOf(() => stage(pending, made)).message).toContain(citing('§12.4.3.2'));
  });

  test('§7.3: of a member that does not remove its old leaf is refused', async () => {
    const { b, group } = scene;
    const made = await makeExternalCommit(b, group, true);
    const commit = commitOf(made, ({ proposals }) => ({ proposals: proposals.slice(1) }));
    const forged = await forgeCommit(b, group, made, { commit });
    expect(failureOf(() => stage(group, forged)).message).toContain(citing('§7.3'));
  });
});

const OTHER_SUITE = 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519';
const externalInit: Proposal = {
  proposalType: 'external_init',
  externalInit: { kemOutput: utf8('') },
};

function referencesIn({ proposals }: TestScene['group']): ProposalOrRef[] {
  return [...proposals.values()].map(({ ref }) => ({
    proposalOrRefType: 'reference',
    reference: ref,
  }));
}

function unsigned() {
  return { ...scene.outsider.keyPackage, signature: new Uint8Array(64) };
}

async function addUntil(ms: number): Promise<Proposal> {
  return addOf(await newActor(nodeCrypto, 'other', { notAfterMs: Date.now() + ms }));
}

async function addWithoutSupport(): Promise<Proposal> {
  return addOf(await newActor(nodeCrypto, 'other', { extensionTypes: [] }));
}

function extension(extensionType: number) {
  return { extensionType, extensionData: utf8('') };
}

/** external_senders of nobody, and a byte. */
const nobodyAndMore = {
  extensionType: EXTENSION.externalSenders,
  extensionData: Uint8Array.of(0, 0),
};

/** required_capabilities of one extension type, 0xf1ff. */
function requirement() {
  const extensionData = Uint8Array.of(2, 0xf1, 0xff, 0, 0);
  return { extensionType: EXTENSION.requiredCapabilities, extensionData };
}

function psk(nonceBytes: number, idBytes = 3): Proposal {
  const pskNonce = new Uint8Array(nonceBytes);
  const pskId = new Uint8Array(idBytes);
  const preSharedKeyId = { psktype: 'external', pskId, pskNonce } as const;
  return { proposalType: 'psk', psk: { preSharedKeyId } };
}

function branchPsk(): Proposal {
  const id = { pskGroupId: utf8('group'), pskEpoch: 0n, pskNonce: new Uint8Array(32) };
  const preSharedKeyId = { psktype: 'resumption', usage: 'branch', ...id } as const;
  return { proposalType: 'psk', psk: { preSharedKeyId } };
}

function reinit(): Proposal {
  const { cipherSuite } = scene.group.context;
  const next = { groupId: utf8('next'), version: 'mls10', cipherSuite, extensions: [] } as const;
  return { proposalType: 'reinit', reinit: { ...next, extensions: [] } };
}
