import { concat, toHex } from '@roost/core/bytes';
import { HOUR_MS } from '@roost/core/time';
import { same, vectorBytes, vectorKind } from '@roost/core/vectors';
import { encodeAuthenticatedContent } from 'ts-mls/authenticatedContent.js';
import { defaultClientConfig } from 'ts-mls/clientConfig.js';
import { joinGroup, makePskIndex } from 'ts-mls/clientState.js';
import type { ClientState } from 'ts-mls/clientState.js';
import { createGroupInfoWithExternalPub } from 'ts-mls/createCommit.js';
import type { CiphersuiteImpl } from 'ts-mls/crypto/ciphersuite.js';
import { framedContentEncoder } from 'ts-mls/framedContent.js';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { acceptAll } from 'ts-mls/incomingMessageAction.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import { decodeMlsMessage, encodeMlsMessage } from 'ts-mls/message.js';
import { unprotectPrivateMessage } from 'ts-mls/messageProtection.js';
import type { PrivateMessage } from 'ts-mls/privateMessage.js';
import { processMessage } from 'ts-mls/processMessages.js';
import { decodeRatchetTree, encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { bytesToBase64 } from 'ts-mls/util/byteArray.js';
import { checkGroupInfo } from '../src/group-info.ts';
import { decodeStrict, parseHandshake, parseKeyPackage, parseWelcome } from '../src/message.ts';
import type { HandshakeMessage } from '../src/message.ts';
import { createPublicGroup, merge, treeBytes } from '../src/public-group.ts';
import type { PublicGroup } from '../src/public-group.ts';
import { followCommit, stageProposal } from '../src/stage.ts';
import { decodePublicGroup, encodePublicGroup } from '../src/stored.ts';
import { everySuite, memberSuite } from './suites.ts';

/**
 * A client that joins and then only listens, and a server beside it: each commit is judged by the
 * server's own path, and both have to come to the same epoch.
 */

interface PassiveClient {
  readonly cipher_suite: number;
  readonly external_psks: readonly { readonly psk_id: string; readonly psk: string }[];
  readonly key_package: string;
  readonly signature_priv: string;
  readonly encryption_priv: string;
  readonly init_priv: string;
  readonly welcome: string;
  readonly ratchet_tree: string | null;
  readonly initial_epoch_authenticator: string;
  readonly epochs: readonly {
    readonly proposals: readonly string[];
    readonly commit: string;
    readonly epoch_authenticator: string;
  }[];
}

/** The listening member, and the server's group at the same epoch. */
interface Both {
  readonly suite: CiphersuiteImpl;
  readonly psks: Readonly<Record<string, Uint8Array>>;
  member: ClientState;
  group: PublicGroup;
  /** The KeyPackages that this epoch proposed to add. */
  added: KeyPackage[];
}

/** Vectors refer to the resumption secrets of any epoch before. */
const CLIENT_CONFIG = {
  ...defaultClientConfig,
  keyRetentionConfig: {
    retainKeysForGenerations: 1_000,
    retainKeysForEpochs: 10_000,
    maximumForwardRatchetSteps: 10_000,
  },
};

export const passiveClient = vectorKind<PassiveClient>(
  'passive-client',
  ['key_package', 'welcome', 'initial_epoch_authenticator', 'epochs'],
  async (vector) => {
    const both = await join(vector);
    const authenticator = () => both.member.keySchedule.epochAuthenticator;
    same('the first epoch_authenticator', authenticator(), vector.initial_epoch_authenticator);
    await compare(both);
    for (const epoch of vector.epochs) {
      for (const proposal of epoch.proposals) await hear(both, vectorBytes(proposal));
      await hear(both, vectorBytes(epoch.commit));
      same('epoch_authenticator', authenticator(), epoch.epoch_authenticator);
      await compare(both);
    }
  },
);

/** The member joins by the Welcome, and hands the server the GroupInfo and tree of its epoch. */
async function join(vector: PassiveClient): Promise<Both> {
  const suite = await memberSuite(vector.cipher_suite);
  const psks = Object.fromEntries(
    vector.external_psks.map(({ psk_id: id, psk }) => [
      bytesToBase64(vectorBytes(id)),
      vectorBytes(psk),
    ]),
  );
  const tree =
    vector.ratchet_tree === null
      ? undefined
      : decodeStrict(
          vectorBytes(vector.ratchet_tree),
          'ratchet_tree',
          decodeRatchetTree,
          encodeRatchetTree,
        );
  const member = await joinGroup(
    parseWelcome(vectorBytes(vector.welcome)),
    parseKeyPackage(vectorBytes(vector.key_package)),
    {
      initPrivateKey: vectorBytes(vector.init_priv),
      hpkePrivateKey: vectorBytes(vector.encryption_priv),
      signaturePrivateKey: vectorBytes(vector.signature_priv),
    },
    makePskIndex(undefined, psks),
    suite,
    tree,
    undefined,
    CLIENT_CONFIG,
  );
  const group = createPublicGroup(
    everySuite,
    await groupInfoOf(member, suite),
    encodeRatchetTree(member.ratchetTree),
    whileAllAreValid(member),
  );
  return { suite, psks, member, group, added: [] };
}

/** One message on both sides: the server stages and merges, the member processes. */
async function hear(both: Both, tls: Uint8Array): Promise<void> {
  const { suite, member } = both;
  const decoded = decodeStrict(tls, 'message', decodeMlsMessage, encodeMlsMessage);
  if (decoded.wireformat !== 'mls_public_message' && decoded.wireformat !== 'mls_private_message') {
    throw new Error('a message of the vector is no handshake message');
  }
  const message =
    decoded.wireformat === 'mls_public_message'
      ? parseHandshake(tls)
      : await disclosed(both, tls, decoded.privateMessage);
  both.added.push(...addedBy(message));
  const now = beforeAnyExpires(both.added);
  if (message.kind === 'proposal') {
    both.group = merge(stageProposal(both.group, message, now));
  } else {
    both.group = merge(followCommit(both.group, message, now).staged);
    both.added = [];
  }

  const psks = makePskIndex(member, both.psks);
  const { newState } = await processMessage(decoded, member, psks, acceptAll, suite);
  both.member = newState;
}

/**
 * The server's clock. The published leaves are of 2024, so that it stands where all of a tree are
 * valid; and some are valid for ever, but the server takes none for more than 90 days, so that for
 * what is added it stands at the end of its lifetime.
 */
function whileAllAreValid(member: ClientState): number {
  const since = member.ratchetTree.map((node) =>
    node?.nodeType === 'leaf' && node.leaf.leafNodeSource === 'key_package'
      ? Number(node.leaf.lifetime.notBefore) * 1_000
      : 0,
  );
  return Math.max(...since);
}

function beforeAnyExpires(added: readonly KeyPackage[]): number {
  const until = added.map(({ leafNode }) => Number(leafNode.lifetime.notAfter) * 1_000);
  // An hour before, because numbers of that size are not exact to the second.
  return until.length === 0 ? 0 : Math.min(...until) - HOUR_MS;
}

function addedBy(message: HandshakeMessage): KeyPackage[] {
  const proposals =
    message.kind === 'proposal'
      ? [message.proposal]
      : message.commit.proposals.flatMap((each) =>
          each.proposalOrRefType === 'proposal' ? [each.proposal] : [],
        );
  return proposals.flatMap((each) => ('add' in each ? [each.add.keyPackage] : []));
}

/** What the member reads in a PrivateMessage, in the form that a server judges. */
async function disclosed(
  { suite, member }: Both,
  tls: Uint8Array,
  message: PrivateMessage,
): Promise<HandshakeMessage> {
  const { content: authenticated } = await unprotectPrivateMessage(
    member.keySchedule.senderDataSecret,
    message,
    member.secretTree,
    member.ratchetTree,
    member.groupContext,
    CLIENT_CONFIG.keyRetentionConfig,
    suite,
  );
  const { content, auth } = authenticated;
  const authenticatedContent = encodeAuthenticatedContent(authenticated);
  const contentEnd = 2 + framedContentEncoder(content)[0];
  const handshake = {
    tls,
    groupId: content.groupId,
    epoch: content.epoch,
    sender: content.sender,
    authenticatedData: content.authenticatedData,
    signature: auth.signature,
    membershipTag: undefined,
    signedPart: concat(MLS_10, authenticatedContent.subarray(0, contentEnd)),
    authenticatedContent,
  };
  if (content.contentType === 'proposal') {
    return { ...handshake, kind: 'proposal', proposal: content.proposal };
  }
  if (content.contentType === 'commit' && auth.contentType === 'commit') {
    const { confirmationTag } = auth;
    return { ...handshake, kind: 'commit', commit: content.commit, confirmationTag };
  }
  throw new Error('a message of the vector is no handshake message');
}

/** ProtocolVersion mls10. */
const MLS_10 = Uint8Array.of(0, 1);

/** Both have the same epoch: tree, context, and what the member vouches for with a GroupInfo. */
async function compare({ suite, member, group }: Both): Promise<void> {
  const context = member.groupContext;
  same('the tree hash of the server', group.tree.rootHash(), toHex(context.treeHash));
  same('the tree of the server', treeBytes(group), toHex(encodeRatchetTree(member.ratchetTree)));
  same('the context of the server', group.contextTls, toHex(encodeGroupContext(context)));
  checkGroupInfo(group.tree, await groupInfoOf(member, suite), {
    contextTls: group.contextTls,
    confirmationTag: member.confirmationTag,
    signer: member.privatePath.leafIndex,
  });
  const again = decodePublicGroup(everySuite, encodePublicGroup(group));
  same('the tree hash after storage', again.tree.rootHash(), toHex(context.treeHash));
}

async function groupInfoOf(member: ClientState, suite: CiphersuiteImpl): Promise<Uint8Array> {
  const groupInfo = await createGroupInfoWithExternalPub(member, [], suite);
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_group_info', groupInfo });
}
