import { utf8 } from '@roost/core/bytes';
import type { GroupInfo } from 'ts-mls/groupInfo.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { Welcome } from 'ts-mls/welcome.js';
import { EXTENSION } from './extensions.ts';
import { parseGroupInfo, parseWelcome } from './message.ts';
import { extension, OTHER_SUITE, staging } from './testing-checks.ts';
import type { Attempt, Check } from './testing-checks.ts';
import { forgeGroupInfo } from './testing-forge.ts';
import { addOf } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { makeCommit } from './testing.ts';

/** RFC 9420 §12.4.3: the GroupInfo and the Welcome that come with a commit. */

const reason = 'GROUP_INFO_MISMATCH';

function info(
  says: string,
  of: string,
  forged: (info: GroupInfo) => Partial<GroupInfo>,
  by: 'a' | 'b' = 'a',
): Check {
  const make = async (scene: TestScene): Promise<Attempt> => {
    const { group, update } = scene;
    const change = forged(parseGroupInfo(update.groupInfo));
    const groupInfo = await forgeGroupInfo(scene[by], update.groupInfo, change);
    return staging(group, { ...update, groupInfo });
  };
  return { says, of: `a GroupInfo ${of}`, reason, make };
}

function context(of: string, forged: Partial<GroupInfo['groupContext']>): Check {
  const says = 'the GroupInfo is not of the epoch that the commit leads to (RFC 9420 §12.4.3)';
  return info(says, of, ({ groupContext }) => ({ groupContext: { ...groupContext, ...forged } }));
}

function welcome(
  says: string,
  of: string,
  change: (scene: TestScene) => Promise<Uint8Array | undefined> | Uint8Array | undefined,
): Check {
  const make = async (scene: TestScene): Promise<Attempt> =>
    staging(scene.group, { ...scene.add, welcome: await change(scene) });
  return { says, of: `a Welcome ${of}`, reason: 'WELCOME_MISMATCH', make };
}

function externalPub(...bytes: number[]) {
  return extension(EXTENSION.externalPub, Uint8Array.from(bytes));
}

const KEY = [32, ...new Uint8Array(32)];
const NOT_ALL = 'the Welcome is not for exactly those who are added (RFC 9420 §12.4.3.1)';
const NO_KEY = 'external_pub is not a key of the suite (RFC 9420 §12.4.3.2)';

export const BUNDLES: readonly Check[] = [
  context('of another epoch', { epoch: 3n }),
  context('of another group', { groupId: utf8('other') }),
  context('of another suite', { cipherSuite: OTHER_SUITE }),
  context('of another tree', { treeHash: new Uint8Array(32) }),
  context('of another history', { confirmedTranscriptHash: new Uint8Array(32) }),
  context('with other extensions', { extensions: [] }),
  info(
    'the GroupInfo has another confirmation tag than the commit (RFC 9420 §12.4.3)',
    'with another confirmation tag',
    () => ({ confirmationTag: new Uint8Array(32) }),
  ),
  info(
    'the GroupInfo is not signed by the committer (RFC 9420 §12.4.3)',
    'by another member',
    () => ({ signer: 1 }),
    'b',
  ),
  info(
    'the signature of the GroupInfo does not hold (RFC 9420 §12.4.3)',
    'that another member signed',
    () => ({}),
    'b',
  ),
  info('the GroupInfo has an extension twice (RFC 9420 §12.4.3)', 'with two keys', () => ({
    extensions: [externalPub(...KEY), externalPub(...KEY)],
  })),
  info('the GroupInfo has no external_pub (RFC 9420 §12.4.3.2)', 'without a key', () => ({
    extensions: [],
  })),
  info(NO_KEY, 'with a short key', () => ({ extensions: [externalPub(1, 1)] })),
  info(NO_KEY, 'with a bare key', () => ({ extensions: [externalPub(...KEY.slice(1))] })),
  info(NO_KEY, 'with bytes behind its key', () => ({ extensions: [externalPub(...KEY, 0)] })),
  info(
    'the GroupInfo carries the ratchet tree, which is served beside it (RFC 9420 §12.4.3.3)',
    'with the ratchet tree',
    () => ({ extensions: [externalPub(...KEY), extension(EXTENSION.ratchetTree)] }),
  ),
  info('the GroupInfo has more than 16384 bytes of its own', 'with 17 KiB more', () => ({
    extensions: [externalPub(...KEY), extension(0xf1ff, new Uint8Array(17 * 1024))],
  })),
  {
    says: 'not a GroupInfo (RFC 9420 §12.4.3)',
    of: 'a commit in the place of a GroupInfo',
    make: ({ group, update }) => staging(group, { ...update, groupInfo: update.tls }),
  },

  welcome(
    'the commit adds members and has no Welcome (RFC 9420 §12.4.3.1)',
    'that is missing',
    () => undefined,
  ),
  {
    says: 'the commit adds nobody and has a Welcome (RFC 9420 §12.4.3.1)',
    of: 'a Welcome for nobody',
    reason: 'WELCOME_MISMATCH',
    make: ({ group, update, add }) => staging(group, { ...update, welcome: add.welcome }),
  },
  welcome(
    'the Welcome has another ciphersuite (RFC 9420 §12.4.3.1)',
    'of another suite',
    ({ add }) => welcomeLike(add.welcome, () => ({ cipherSuite: OTHER_SUITE })),
  ),
  welcome(NOT_ALL, 'for somebody else', async ({ a, hub }) => {
    return (await makeCommit(a, [addOf(hub)])).welcome;
  }),
  welcome(NOT_ALL, 'for somebody besides', async ({ a, hub, outsider }) => {
    return (await makeCommit(a, [addOf(hub), addOf(outsider)])).welcome;
  }),
  welcome(NOT_ALL, 'without secrets', ({ add }) =>
    welcomeLike(add.welcome, () => ({ secrets: [] })),
  ),
  welcome(NOT_ALL, 'with the secrets of one joiner twice', ({ add }) =>
    welcomeLike(add.welcome, ({ secrets }) => ({ secrets: [...secrets, ...secrets] })),
  ),
  welcome(
    'a joiner could not open the Welcome (RFC 9420 §12.4.3.1)',
    'with an empty kem_output',
    ({ add }) =>
      welcomeLike(add.welcome, ({ secrets }) => ({
        secrets: secrets.map(({ newMember, encryptedGroupSecrets }) => ({
          newMember,
          encryptedGroupSecrets: { ...encryptedGroupSecrets, kemOutput: new Uint8Array(0) },
        })),
      })),
  ),
  welcome(
    'a joiner could not open the Welcome (RFC 9420 §12.4.3.1)',
    'with a GroupInfo of no bytes',
    ({ add }) => welcomeLike(add.welcome, () => ({ encryptedGroupInfo: new Uint8Array(16) })),
  ),
  welcome(
    'a joiner could not open the Welcome (RFC 9420 §12.4.3.1)',
    'with secrets of no bytes',
    ({ add }) =>
      welcomeLike(add.welcome, ({ secrets }) => ({
        secrets: secrets.map(({ newMember, encryptedGroupSecrets }) => ({
          newMember,
          encryptedGroupSecrets: { ...encryptedGroupSecrets, ciphertext: new Uint8Array(16) },
        })),
      })),
  ),
  {
    says: 'not a Welcome (RFC 9420 §12.4.3.1)',
    of: 'a commit in the place of a Welcome',
    make: ({ group, add }) => staging(group, { ...add, welcome: add.tls }),
  },
];

function welcomeLike(
  tls: Uint8Array | undefined,
  change: (welcome: Welcome) => Partial<Welcome>,
): Uint8Array {
  if (tls === undefined) throw new Error('there is a Welcome');
  const parsed = parseWelcome(tls);
  return encodeMlsMessage({
    version: 'mls10',
    wireformat: 'mls_welcome',
    welcome: { ...parsed, ...change(parsed) },
  });
}
