import { assert } from '@roost/core/assert';
import { compare } from '@roost/core/bytes';
import { decodeAll } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { validateKeyPackage } from '../src/key-package.ts';
import {
  parseApplication,
  parseGroupInfo,
  parseHandshake,
  parseKeyPackage,
  parseWelcome,
  publicMessageOf,
} from '../src/message.ts';
import { createPublicGroup, merge, treeBytes } from '../src/public-group.ts';
import type { PublicGroup } from '../src/public-group.ts';
import { decodeTree, encodeTree } from '../src/ratchet-tree.ts';
import { decodeRoomState, encodeRoomState } from '../src/room.ts';
import { followCommit, stageCommit, stageProposal } from '../src/stage.ts';
import { decodePublicGroup, encodePublicGroup } from '../src/stored.ts';
import { SUITE_1 } from '../src/provider.ts';
import { suiteOf } from '../src/suite.ts';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { MlsMessageContent } from 'ts-mls/message.js';

/**
 * Takes hostile bytes: throws a `Failure`, or gives what the value that it read is written to; nothing
 * where the value was judged and not read.
 */
export type Target = (bytes: Uint8Array) => Uint8Array | undefined;

/** What a running group is made of, as `makeSceneFile` wrote it. */
export function readScene(bytes: Uint8Array) {
  return decodeAll(bytes, 'scene', (reader) => ({
    now: Number(reader.u64()),
    group: reader.opaque(bytes.length),
    groupInfo: reader.opaque(bytes.length),
    welcome: reader.opaque(bytes.length),
  }));
}

/** Everything of MLS that a server reads, and the judges behind it. */
export function mlsTargets(crypto: Crypto, scene: Uint8Array): Record<string, Target> {
  const { now, group: stored, groupInfo, welcome } = readScene(scene);
  // An attacker who can sign whatever it likes: else nothing but signatures would be tried.
  const credulous = { ...crypto, ed25519: { ...crypto.ed25519, verify: () => true } };
  const suite = suiteOf(crypto, SUITE_1);
  const group = decodePublicGroup(credulous, stored);
  return {
    handshake: (bytes) =>
      written({
        wireformat: 'mls_public_message',
        publicMessage: publicMessageOf(parseHandshake(bytes)),
      }),
    application: (bytes) => parseApplication(bytes).tls,
    welcome: (bytes) => written({ wireformat: 'mls_welcome', welcome: parseWelcome(bytes) }),
    'group-info': (bytes) =>
      written({ wireformat: 'mls_group_info', groupInfo: parseGroupInfo(bytes) }),
    'key-package': (bytes) => {
      const keyPackage = parseKeyPackage(bytes);
      validateKeyPackage(credulous, bytes, now);
      return written({ wireformat: 'mls_key_package', keyPackage });
    },
    tree: (bytes) => encodeTree(decodeTree(suite, bytes)),
    room: (bytes) => encodeRoomState(decodeRoomState(bytes)),
    commit: (bytes) => {
      const message = parseHandshake(bytes);
      if (message.kind === 'proposal') return undefined;
      checkKept(credulous, merge(followCommit(group, message, now).staged));
      assert(compare(encodePublicGroup(group), stored) === 0, 'staging changes nothing');
      merge(stageCommit(group, message, { groupInfo, welcome, now }));
      return undefined;
    },
    proposal: (bytes) => {
      const message = parseHandshake(bytes);
      if (message.kind === 'commit') return undefined;
      checkKept(credulous, merge(stageProposal(group, message, now)));
      assert(compare(encodePublicGroup(group), stored) === 0, 'staging changes nothing');
      return undefined;
    },
    founding: (bytes) => {
      const parts = decodeAll(bytes, 'founding', (reader) => ({
        info: reader.opaque(bytes.length),
        tree: reader.opaque(bytes.length),
      }));
      const opened = createPublicGroup(credulous, parts.info, parts.tree, now);
      assert(compare(treeBytes(opened), parts.tree) === 0, 'the tree is served as it came');
      checkKept(credulous, opened);
      return undefined;
    },
  };
}

/** What a server goes on with has to be the same group once it was stored. */
function checkKept(crypto: Crypto, group: PublicGroup): void {
  const kept = encodePublicGroup(group);
  const again = decodePublicGroup(crypto, kept);
  assert(compare(encodePublicGroup(again), kept) === 0, 'a group is stored as it was');
  assert(compare(again.tree.rootHash(), group.tree.rootHash()) === 0, 'and so is its tree');
}

function written(content: MlsMessageContent): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', ...content });
}
