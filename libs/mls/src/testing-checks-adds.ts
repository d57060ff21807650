import { DAY_MS } from '@roost/core/time';
import type { Proposal } from 'ts-mls/proposal.js';
import { EXTENSION } from './extensions.ts';
import { addLeaf, committing, extension, OTHER_SUITE } from './testing-checks.ts';
import type { Check } from './testing-checks.ts';
import { addOf, addSigned } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';

/** RFC 9420 §7.3 and §10.1: the KeyPackages of Adds. */

function adding(
  says: string,
  of: string,
  proposals: (scene: TestScene) => Promise<readonly Proposal[]>,
): Check {
  return {
    says,
    of: `an Add ${of}`,
    make: async (scene) => committing(scene, ...(await proposals(scene))),
  };
}

export const ADDS: readonly Check[] = [
  adding(
    'the signature of a KeyPackage does not hold (RFC 9420 §10.1)',
    'that nobody signed',
    async ({ outsider }) => [
      addOf({ keyPackage: { ...outsider.keyPackage, signature: new Uint8Array(64) } }),
    ],
  ),
  adding(
    'the signature of a leaf does not hold (RFC 9420 §7.3)',
    'of a leaf of another',
    async (scene) => [
      await addSigned(scene, ({ leafNode }) => ({
        leafNode: { ...leafNode, signature: scene.b.keyPackage.leafNode.signature },
      })),
    ],
  ),
  adding(
    'a KeyPackage has another version or ciphersuite (RFC 9420 §10.1)',
    'for another suite',
    async (scene) => [await addSigned(scene, () => ({ cipherSuite: OTHER_SUITE }))],
  ),
  adding(
    'a KeyPackage has the same init key and encryption key (RFC 9420 §10.1)',
    'with one key for both',
    async (scene) => [
      await addSigned(scene, ({ leafNode }) => ({ initKey: leafNode.hpkePublicKey })),
    ],
  ),
  adding(
    'a KeyPackage has an extension twice (RFC 9420 §10)',
    'that is a last resort twice',
    async (scene) => [await addSigned(scene, () => ({ extensions: [lastResort, lastResort] }))],
  ),
  adding(
    'a KeyPackage has an extension that does not belong to it (RFC 9420 §17.3)',
    'with a ratchet tree',
    async (scene) => [
      await addSigned(scene, () => ({ extensions: [extension(EXTENSION.ratchetTree)] })),
    ],
  ),
  adding(
    'an encryption key has the wrong length (RFC 9420 §5.1)',
    'with a short init key',
    async (scene) => [await addSigned(scene, () => ({ initKey: new Uint8Array(31) }))],
  ),
  adding(
    'an encryption key has the wrong length (RFC 9420 §5.1)',
    'with a long encryption key',
    async (scene) => [await addLeaf(scene, () => ({ hpkePublicKey: new Uint8Array(33) }))],
  ),
  adding('an init key is in use already (RFC 9420 §10)', "with a member's key", async (scene) => [
    await addSigned(scene, () => ({ initKey: scene.b.keyPackage.leafNode.hpkePublicKey })),
  ]),
  adding(
    'an init key is in use already (RFC 9420 §10)',
    'with the init key of another',
    async (scene) => [
      addOf(scene.hub),
      await addSigned(scene, () => ({ initKey: scene.hub.keyPackage.initKey })),
    ],
  ),
  adding(
    'an init key is in use already (RFC 9420 §10)',
    'with the leaf key of another Add',
    async (scene) => [
      await addSigned(scene, () => ({ initKey: scene.hub.keyPackage.leafNode.hpkePublicKey })),
      addOf(scene.hub),
    ],
  ),
  adding(
    'a signature key is in the tree already (RFC 9420 §7.3)',
    'of a client twice',
    async (scene) => [
      addOf(scene.outsider),
      await addLeaf(scene, () => ({ hpkePublicKey: scene.crypto.random(32) })),
    ],
  ),
  adding(
    "a leaf does not list the group's version and ciphersuite (RFC 9420 §7.2)",
    'of a leaf that lists another suite',
    async (scene) => [
      await addLeaf(scene, ({ capabilities }) => ({
        capabilities: { ...capabilities, ciphersuites: [OTHER_SUITE] },
      })),
    ],
  ),
  adding(
    'an encryption key is in the tree already (RFC 9420 §7.3)',
    'of a member',
    async ({ b }) => [addOf(b)],
  ),
  adding(
    'an encryption key is in the tree already (RFC 9420 §7.3)',
    "with a member's encryption key",
    async (scene) => [
      await addLeaf(scene, () => ({ hpkePublicKey: scene.b.keyPackage.leafNode.hpkePublicKey })),
    ],
  ),
  adding(
    'a KeyPackage is not valid at this time (RFC 9420 §7.2)',
    'that expired',
    async (scene) => [
      await addLeaf(scene, () => ({ lifetime: { notBefore: 0n, notAfter: seconds(-DAY_MS) } })),
    ],
  ),
  adding(
    'a KeyPackage is not valid at this time (RFC 9420 §7.2)',
    'from tomorrow on',
    async (scene) => [
      await addLeaf(scene, () => ({
        lifetime: { notBefore: seconds(DAY_MS), notAfter: seconds(2 * DAY_MS) },
      })),
    ],
  ),
  adding(
    'a KeyPackage is valid for more than 90 days (RFC 9420 §7.2)',
    'for 91 days',
    async (scene) => [
      await addLeaf(scene, () => ({ lifetime: { notBefore: 0n, notAfter: seconds(91 * DAY_MS) } })),
    ],
  ),
];

const lastResort = extension(EXTENSION.lastResort);

function seconds(ms: number): bigint {
  return BigInt(Math.floor((Date.now() + ms) / 1000));
}
