import { utf8 } from '@roost/core/bytes';
import { encodeLeafNodeData } from 'ts-mls/leafNode.js';
import type { LeafNode } from 'ts-mls/leafNode.js';
import type { UpdatePath, UpdatePathNode } from 'ts-mls/updatePath.js';
import { EXTENSION } from './extensions.ts';
import {
  commitLike,
  extension,
  OTHER_SUITE,
  pathLeaf,
  staging,
  withPathLeaf,
} from './testing-checks.ts';
import type { Attempt, Check } from './testing-checks.ts';
import { commitOf, forgeLeaf } from './testing-forge.ts';
import { makeScene } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';

/** RFC 9420 §7 and §12.4.2: the path of a commit, and the leaf in it. */

function leafWith(
  says: string,
  of: string,
  forged: (leaf: LeafNode, scene: TestScene) => Partial<LeafNode>,
): Check {
  const make = (scene: TestScene) => pathLeaf(scene, (leaf) => forged(leaf, scene));
  return { says, of: `the leaf of a path ${of}`, make };
}

/** The update of a with its path changed. */
function updating(
  scene: TestScene,
  change: (path: UpdatePath) => Partial<UpdatePath>,
): Promise<Attempt> {
  return commitLike(scene, ({ path }) => {
    if (path === undefined) throw new Error('an update has a path');
    return { path: { ...path, ...change(path) } };
  });
}

function pathWith(
  says: string,
  of: string,
  change: (nodes: readonly UpdatePathNode[], scene: TestScene) => readonly UpdatePathNode[],
): Check {
  const make = (scene: TestScene) =>
    updating(scene, ({ nodes }) => ({ nodes: [...change(nodes, scene)] }));
  return { says, of: `a path ${of}`, make };
}

/** A path with its first node changed. */
function nodeWith(
  says: string,
  of: string,
  change: (node: UpdatePathNode, scene: TestScene) => Partial<UpdatePathNode>,
): Check {
  return pathWith(says, of, ([first, ...more], scene) => {
    if (first === undefined) throw new Error('a path has nodes');
    return [{ ...first, ...change(first, scene) }, ...more];
  });
}

const NO_KEY = 'a key is none that anybody could encrypt to (RFC 9420 §5.1)';
const SUITE_2 = 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256';

export const PATHS: readonly Check[] = [
  {
    says: 'the commit has no path and needs one (RFC 9420 §12.4)',
    of: 'a commit of nothing without a path',
    make: (scene) => commitLike(scene, () => ({ path: undefined })),
  },
  pathWith('the path has the wrong length (RFC 9420 §12.4.2)', 'that is too short', (nodes) =>
    nodes.slice(1),
  ),
  pathWith('the path has the wrong length (RFC 9420 §12.4.2)', 'that is too long', (nodes) => [
    ...nodes,
    ...nodes,
  ]),
  pathWith('handshake message has a list of too many entries', 'of 33 nodes', ([node]) =>
    Array.from({ length: 33 }, () => node ?? fail()),
  ),
  nodeWith(
    'a path node has the wrong number of ciphertexts (RFC 9420 §7.6)',
    'without a ciphertext',
    () => ({ encryptedPathSecret: [] }),
  ),
  nodeWith(
    'a path node has the wrong number of ciphertexts (RFC 9420 §7.6)',
    'with a ciphertext more',
    ({ encryptedPathSecret: [one] }) => ({ encryptedPathSecret: one ? [one, one] : [] }),
  ),
  nodeWith(
    'a kem_output has the wrong length (RFC 9420 §5.1)',
    'with an empty kem_output',
    ({ encryptedPathSecret }) => ({
      encryptedPathSecret: encryptedPathSecret.map((it) => ({
        ...it,
        kemOutput: new Uint8Array(0),
      })),
    }),
  ),
  nodeWith(
    'a ciphertext of the path does not hold a path secret (RFC 9420 §7.6)',
    'with an empty ciphertext',
    ({ encryptedPathSecret }) => ({
      encryptedPathSecret: encryptedPathSecret.map((it) => ({
        ...it,
        ciphertext: new Uint8Array(0),
      })),
    }),
  ),
  nodeWith(
    'a ciphertext of the path does not hold a path secret (RFC 9420 §7.6)',
    'with a long ciphertext',
    ({ encryptedPathSecret }) => ({
      encryptedPathSecret: encryptedPathSecret.map((it) => ({
        ...it,
        ciphertext: new Uint8Array(49),
      })),
    }),
  ),
  nodeWith(
    'an encryption key has the wrong length (RFC 9420 §5.1)',
    'with a key of 31 bytes',
    () => ({ hpkePublicKey: new Uint8Array(31) }),
  ),
  {
    says: NO_KEY,
    of: 'a path in suite 2 with keys that are not uncompressed points',
    make: async ({ crypto }) =>
      updating(await makeScene(crypto, SUITE_2), ({ nodes }) => ({
        nodes: nodes.map((node) => ({ ...node, hpkePublicKey: node.hpkePublicKey.with(0, 2) })),
      })),
  },
  {
    says: NO_KEY,
    of: 'a path in suite 2 with keys that are not on the curve',
    make: async ({ crypto }) =>
      updating(await makeScene(crypto, SUITE_2), ({ nodes }) => ({
        nodes: nodes.map((node) => ({ ...node, hpkePublicKey: node.hpkePublicKey.with(9, 0) })),
      })),
  },
  nodeWith(NO_KEY, 'with a key of low order', () => ({ hpkePublicKey: new Uint8Array(32) })),
  nodeWith(
    'handshake message has a field of more than 4096 bytes',
    'with a key of 4,097 bytes',
    () => ({ hpkePublicKey: new Uint8Array(4097) }),
  ),
  pathWith('a key of the path is not new (RFC 9420 §12.4.2)', 'with one key twice', (nodes) =>
    nodes.map((node) => ({ ...node, hpkePublicKey: nodes[0]?.hpkePublicKey ?? fail() })),
  ),
  nodeWith(
    'a key of the path is not new (RFC 9420 §12.4.2)',
    'with the key of a member',
    (_, { b }) => ({ hpkePublicKey: b.keyPackage.leafNode.hpkePublicKey }),
  ),
  nodeWith(
    'a key of the path is not new (RFC 9420 §12.4.2)',
    'with the old key of its sender',
    (_, { a }) => ({ hpkePublicKey: a.keyPackage.leafNode.hpkePublicKey }),
  ),
  {
    says: 'a key of the path is not new (RFC 9420 §12.4.2)',
    of: 'a path with the new key of its leaf',
    make: (scene) =>
      updating(scene, ({ nodes, leafNode: { hpkePublicKey } }) => ({
        nodes: nodes.map((node) => ({ ...node, hpkePublicKey })),
      })),
  },
  nodeWith(
    'the parent hash of the path does not hold (RFC 9420 §7.9.2)',
    'with another key',
    (_, { crypto }) => ({ hpkePublicKey: crypto.random(32) }),
  ),

  leafWith(
    'an encryption key is in the tree already (RFC 9420 §7.3)',
    'with its old key',
    (_, { a }) => ({ hpkePublicKey: a.keyPackage.leafNode.hpkePublicKey }),
  ),
  leafWith(
    'an encryption key is in the tree already (RFC 9420 §7.3)',
    'with the key of another',
    (_, { b }) => ({ hpkePublicKey: b.keyPackage.leafNode.hpkePublicKey }),
  ),
  leafWith(
    'a signature key is in the tree already (RFC 9420 §7.3)',
    'with the signature key of another',
    (_, { b }) => ({ signaturePublicKey: b.keyPackage.leafNode.signaturePublicKey }),
  ),
  leafWith(
    'an encryption key has the wrong length (RFC 9420 §5.1)',
    'with a key of no bytes',
    () => ({ hpkePublicKey: new Uint8Array(0) }),
  ),
  leafWith(
    'the parent hash of the path does not hold (RFC 9420 §7.9.2)',
    'with another parent hash',
    () => ({ parentHash: new Uint8Array(32) }),
  ),
  leafWith(
    'a leaf has an extension that it does not list (RFC 9420 §7.2)',
    'with an extension that it does not list',
    () => ({ extensions: [extension(0xf1ff)] }),
  ),
  leafWith(
    'a leaf has an extension that does not belong to it (RFC 9420 §17.3)',
    'with external_senders',
    () => ({ extensions: [extension(EXTENSION.externalSenders)] }),
  ),
  leafWith(
    'a leaf has an extension twice (RFC 9420 §7.2)',
    'with an extension twice',
    ({ capabilities }) => ({
      capabilities: { ...capabilities, extensions: [...capabilities.extensions, 0xf1ff] },
      extensions: [extension(0xf1ff), extension(0xf1ff)],
    }),
  ),
  leafWith(
    'a leaf does not list its own credential type (RFC 9420 §7.2)',
    'with a credential that it does not list',
    ({ capabilities }) => ({ capabilities: { ...capabilities, credentials: ['x509'] } }),
  ),
  leafWith(
    "a leaf does not list the group's version and ciphersuite (RFC 9420 §7.2)",
    'that lists another suite',
    ({ capabilities }) => ({ capabilities: { ...capabilities, ciphersuites: [OTHER_SUITE] } }),
  ),
  leafWith(
    "a leaf does not list the group's version and ciphersuite (RFC 9420 §7.2)",
    'that lists no version',
    ({ capabilities }) => ({ capabilities: { ...capabilities, versions: [] } }),
  ),
  leafWith(
    'a member does not support the credential of another (RFC 9420 §7.3)',
    'with a credential that others do not support',
    ({ capabilities }) => ({
      credential: { credentialType: 'x509', certificates: [] },
      capabilities: { ...capabilities, credentials: ['basic', 'x509'] },
    }),
  ),
  leafWith(
    'a member does not support an extension of the group (RFC 9420 §13.4)',
    'that stops supporting the room state',
    ({ capabilities }) => ({ capabilities: { ...capabilities, extensions: [] } }),
  ),
  leafWith('has a leaf of more than 32768 bytes', 'of 33,000 bytes', ({ capabilities }) => ({
    capabilities: { ...capabilities, extensions: [...capabilities.extensions, 0xf1ff] },
    extensions: [extension(0xf1ff, new Uint8Array(33_000))],
  })),
  {
    says: 'the signature of a leaf does not hold (RFC 9420 §7.3)',
    of: 'the leaf of a path that nobody signed',
    make: (scene) => withPathLeaf(scene, (leaf) => ({ ...leaf, signature: new Uint8Array(64) })),
  },
  {
    says: 'the signature of a leaf does not hold (RFC 9420 §7.3)',
    of: 'the leaf of a path that is signed for another place',
    make: (scene) => pathLeaf(scene, () => ({}), 1),
  },
  {
    says: 'the signature of a leaf does not hold (RFC 9420 §7.3)',
    of: 'the leaf of a path that is signed for another group',
    make: (scene) => {
      const context = { ...scene.group.context, groupId: utf8('other') };
      return withPathLeaf(scene, (leaf) =>
        forgeLeaf(scene.a, { ...scene.group, context }, { leaf, leafIndex: 0 }, {}),
      );
    },
  },
  {
    says: 'cannot be its leaf node source (RFC 9420 §7.2)',
    of: 'the leaf of a path that says it comes by an Update',
    make: (scene) => {
      const { group, update } = scene;
      const { path } = commitOf(update, () => ({}));
      const front = encodeLeafNodeData(path?.leafNode ?? fail());
      const at = Buffer.from(update.tls).indexOf(front) + front.length;
      return staging(group, { ...update, tls: update.tls.with(at, 2) });
    },
  },
  {
    says: 'is not canonical: a presence byte (RFC 9420 §2.1.1)',
    of: 'a path that is there twice over',
    make: (scene) => {
      const { group, update } = scene;
      const { path } = commitOf(update, () => ({}));
      const front = encodeLeafNodeData(path?.leafNode ?? fail());
      const at = Buffer.from(update.tls).indexOf(front) - 1;
      return staging(group, { ...update, tls: update.tls.with(at, 2) });
    },
  },
];

function fail(): never {
  throw new Error('an update has a path');
}
