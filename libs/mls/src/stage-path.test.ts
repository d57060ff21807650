import { beforeAll, describe, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import type { LeafNode } from 'ts-mls/leafNode.js';
import type { UpdatePath, UpdatePathNode } from 'ts-mls/updatePath.js';
import { commitOf, forgeCommit, forgeLeaf } from './testing-forge.ts';
import { citing, failureOf, makeScene } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { stage } from './testing.ts';

let scene: TestScene;

beforeAll(async () => {
  scene = await makeScene(nodeCrypto);
});

test('§12.4: a commit without a path where one is needed is refused', async () => {
  const { a, group, update } = scene;
  const commit = commitOf(update, () => ({ path: undefined }));
  const made = await forgeCommit(a, group, update, { commit });
  expect(failureOf(() => stage(group, made)).message).toContain(citing('§12.4'));
});

describe('the nodes of a path', () => {
  const each =
    (change: (node: UpdatePathNode, nodes: readonly UpdatePathNode[]) => Partial<UpdatePathNode>) =>
    (nodes: readonly UpdatePathNode[]) =>
      nodes.map((node) => ({ ...node, ...change(node, nodes) }));

  test.each<[string, string, (nodes: readonly UpdatePathNode[]) => UpdatePathNode[]]>([
    ['§12.4.2', 'too few', (nodes) => nodes.slice(1)],
    ['§12.4.2', 'too many', (nodes) => [...nodes, ...nodes]],
    ['§7.6', 'without ciphertexts', each(() => ({ encryptedPathSecret: [] }))],
    ['§7.6', 'with more ciphertexts than members', each(doubledCiphertexts)],
    ['§12.4.2', 'with the same key', each((_, [first]) => ({ hpkePublicKey: keyOf(first) }))],
    ['§12.4.2', 'with the key of a leaf', each(() => ({ hpkePublicKey: keyOf(leafOf('b')) }))],
    ['§5.1', 'with a short key', each(() => ({ hpkePublicKey: utf8('short') }))],
    ['§7.9.2', 'with other keys', each(() => ({ hpkePublicKey: nodeCrypto.random(32) }))],
  ])('%s: %s are refused', async (rule, _, change) => {
    expect(await refusalOf(({ nodes }) => ({ nodes: change(nodes) }))).toContain(citing(rule));
  });
});

describe('the leaf of a path', () => {
  const other = { extensionType: 0xf1ff, extensionData: utf8('') };

  test('§7.3: that is not signed is refused', async () => {
    const message = await refusalOf(({ leafNode }) => ({
      leafNode: { ...leafNode, signature: utf8('') },
    }));
    expect(message).toContain(citing('§7.3'));
  });

  test.each<[string, string, (leaf: LeafNode) => Partial<LeafNode>, place?: number]>([
    ['§7.3', 'signed for another place', () => ({}), 1],
    ['§7.3', 'with its old key', () => ({ hpkePublicKey: keyOf(leafOf('a')) })],
    [
      '§7.3',
      'with the signature key of another',
      () => ({ signaturePublicKey: leafOf('b').signaturePublicKey }),
    ],
    ['§7.2', 'with an extension that it does not list', () => ({ extensions: [other] })],
    [
      '§7.2',
      'with an extension twice',
      ({ capabilities }) => ({
        capabilities: { ...capabilities, extensions: [...capabilities.extensions, 0xf1ff] },
        extensions: [other, other],
      }),
    ],
    [
      '§7.3',
      'with a credential that others do not support',
      ({ capabilities }) => ({
        credential: { credentialType: 'x509', certificates: [] },
        capabilities: { ...capabilities, credentials: ['basic', 'x509'] },
      }),
    ],
    [
      '§7.2',
      'with a credential that it does not list',
      ({ capabilities }) => ({ capabilities: { ...capabilities, credentials: ['x509'] } }),
    ],
    [
      '§13.4',
      'that stops supporting the room state',
      ({ capabilities }) => ({ capabilities: { ...capabilities, extensions: [] } }),
    ],
    ['§7.9.2', 'with another parent hash', () => ({ parentHash: new Uint8Array(32) })],
  ])('%s: %s is refused', async (rule, _, forged, place = 0) => {
    const message = await refusalOf(async ({ leafNode }) => ({
      leafNode: await forgeLeaf(
        scene.a,
        scene.group,
        { leaf: leafNode, leafIndex: place },
        forged(leafNode),
      ),
    }));
    expect(message).toContain(citing(rule));
  });
});

/** Why the update of a is refused when its path is changed so. */
async function refusalOf(
  change: (path: UpdatePath) => Partial<UpdatePath> | Promise<Partial<UpdatePath>>,
): Promise<string> {
  const { a, group, update } = scene;
  const { path } = commitOf(update, () => ({}));
  if (path === undefined) throw new Error('the update has a path');
  const forged = { ...path, ...(await change(path)) };
  const commit = commitOf(update, () => ({ path: forged }));
  const made = await forgeCommit(a, group, update, { commit });
  const failure = failureOf(() => stage(group, made));
  expect(failure.reason).toBe('INVALID_MLS');
  return failure.message;
}

function doubledCiphertexts({ encryptedPathSecret }: UpdatePathNode): Partial<UpdatePathNode> {
  return { encryptedPathSecret: [...encryptedPathSecret, ...encryptedPathSecret] };
}

function leafOf(name: 'a' | 'b'): LeafNode {
  return scene[name].keyPackage.leafNode;
}

function keyOf(holder: { readonly hpkePublicKey: Uint8Array } | undefined): Uint8Array {
  return holder?.hpkePublicKey ?? utf8('');
}
