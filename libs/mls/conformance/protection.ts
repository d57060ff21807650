import { concat, toHex } from '@roost/core/bytes';
import { holds, same, sameValue, vectorBytes, vectorKind } from '@roost/core/vectors';
import { decodeCommit, encodeCommit } from 'ts-mls/commit.js';
import type { CiphersuiteImpl } from 'ts-mls/crypto/ciphersuite.js';
import type { FramedContent } from 'ts-mls/framedContent.js';
import { createContentCommitSignature } from 'ts-mls/framedContent.js';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import type { GroupContext } from 'ts-mls/groupContext.js';
import { defaultKeyRetentionConfig } from 'ts-mls/keyRetentionConfig.js';
import { decodeMlsMessage, encodeMlsMessage } from 'ts-mls/message.js';
import type { MLSMessage } from 'ts-mls/message.js';
import {
  protect,
  protectApplicationData,
  protectProposal,
  unprotectPrivateMessage,
} from 'ts-mls/messageProtection.js';
import {
  protectProposalPublic,
  protectPublicMessage,
  unprotectPublicMessage,
} from 'ts-mls/messageProtectionPublic.js';
import { defaultPaddingConfig } from 'ts-mls/paddingConfig.js';
import { decodeProposal, encodeProposal } from 'ts-mls/proposal.js';
import type { RatchetTree } from 'ts-mls/ratchetTree.js';
import { createSecretTree } from 'ts-mls/secretTree.js';
import { decodeStrict, parseApplication, parseHandshake } from '../src/message.ts';
import { memberSuite, publicSuite } from './suites.ts';

/** Messages under their protection: what a server reads and believes of them, and what members open. */

interface MessageProtection {
  readonly cipher_suite: number;
  readonly group_id: string;
  readonly epoch: number;
  readonly tree_hash: string;
  readonly confirmed_transcript_hash: string;
  readonly signature_priv: string;
  readonly signature_pub: string;
  readonly encryption_secret: string;
  readonly sender_data_secret: string;
  readonly membership_key: string;
  readonly proposal: string;
  readonly proposal_priv: string;
  readonly proposal_pub: string;
  readonly commit: string;
  readonly commit_priv: string;
  readonly commit_pub: string;
  readonly application: string;
  readonly application_priv: string;
}

/** What both sides of a message know. */
interface Channel {
  readonly suite: CiphersuiteImpl;
  readonly context: GroupContext;
  readonly senderDataSecret: Uint8Array;
  readonly encryptionSecret: Uint8Array;
  readonly membershipKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
}

/** The vectors have a tree of two leaves, and the second one sends. */
const LEAVES = 2;
const SENDER = 1;
/** The sender's key is given beside it. */
const NO_TREE: RatchetTree = [];
const NOTHING = new Uint8Array(0);

export const messageProtection = vectorKind<MessageProtection>(
  'message-protection',
  ['membership_key', 'proposal_pub', 'commit_priv', 'application_priv'],
  async (vector) => {
    const channel = await channelOf(vector);
    const { proposal, commit, application } = vector;
    checkServer(vector, channel);
    for (const hex of [
      vector.proposal_pub,
      vector.proposal_priv,
      ...(await proposals(vector, channel)),
    ])
      same('the proposal', await opened(channel, hex), proposal);
    for (const hex of [vector.commit_pub, vector.commit_priv, ...(await commits(vector, channel))])
      same('the commit', await opened(channel, hex), commit);
    for (const hex of [vector.application_priv, await applicationMessage(vector, channel)])
      same('the application data', await opened(channel, hex), application);
  },
);

async function channelOf(vector: MessageProtection): Promise<Channel> {
  const suite = await memberSuite(vector.cipher_suite);
  return {
    suite,
    context: {
      version: 'mls10',
      cipherSuite: suite.name,
      groupId: vectorBytes(vector.group_id),
      epoch: BigInt(vector.epoch),
      treeHash: vectorBytes(vector.tree_hash),
      confirmedTranscriptHash: vectorBytes(vector.confirmed_transcript_hash),
      extensions: [],
    },
    senderDataSecret: vectorBytes(vector.sender_data_secret),
    encryptionSecret: vectorBytes(vector.encryption_secret),
    membershipKey: vectorBytes(vector.membership_key),
    publicKey: vectorBytes(vector.signature_pub),
    privateKey: vectorBytes(vector.signature_priv),
  };
}

/** Our parser and our check of the signature; what is encrypted is told apart from the outside. */
function checkServer(vector: MessageProtection, { context, publicKey }: Channel): void {
  const suite = publicSuite(vector.cipher_suite);
  for (const [kind, hex] of [
    ['proposal', vector.proposal_pub],
    ['commit', vector.commit_pub],
  ] as const) {
    const message = parseHandshake(vectorBytes(hex));
    sameValue('the kind', message.kind, kind);
    same('the group', message.groupId, vector.group_id);
    sameValue('the epoch', Number(message.epoch), vector.epoch);
    const content = concat(message.signedPart, encodeGroupContext(context));
    const { signature } = message;
    const label = 'FramedContentTBS';
    holds(`the signature of the ${kind}`, suite.verify({ publicKey, label, content, signature }));
    const elsewhere = concat(message.signedPart, encodeGroupContext({ ...context, epoch: 0n }));
    const claim = suite.verify({ publicKey, label, content: elsewhere, signature });
    holds('its refusal in another epoch', !claim);
  }
  same(
    'the group',
    parseApplication(vectorBytes(vector.application_priv)).groupId,
    vector.group_id,
  );
}

/** The content of a message, as a member opens it. */
async function opened(channel: Channel, hex: string): Promise<Uint8Array> {
  const { suite, context, senderDataSecret, publicKey, membershipKey } = channel;
  const message = decodeStrict(vectorBytes(hex), 'message', decodeMlsMessage, encodeMlsMessage);
  if (message.wireformat === 'mls_public_message') {
    const { content } = await unprotectPublicMessage(
      membershipKey,
      context,
      NO_TREE,
      message.publicMessage,
      suite,
      publicKey,
    );
    return encodedContent(content);
  }
  if (message.wireformat !== 'mls_private_message')
    throw new Error('the message is of another kind');
  const secretTree = await createSecretTree(LEAVES, channel.encryptionSecret, suite.kdf);
  const { content } = await unprotectPrivateMessage(
    senderDataSecret,
    message.privateMessage,
    secretTree,
    NO_TREE,
    context,
    defaultKeyRetentionConfig,
    suite,
    publicKey,
  );
  return encodedContent(content.content);
}

function encodedContent(content: FramedContent): Uint8Array {
  switch (content.contentType) {
    case 'proposal':
      return encodeProposal(content.proposal);
    case 'commit':
      return encodeCommit(content.commit);
    case 'application':
      return content.applicationData;
  }
}

/** The vector's proposal under our own protection, public and private. */
async function proposals(vector: MessageProtection, channel: Channel): Promise<string[]> {
  const { suite, context, membershipKey, privateKey, senderDataSecret } = channel;
  const tls = vectorBytes(vector.proposal);
  const proposal = decodeStrict(tls, 'proposal', decodeProposal, encodeProposal);
  const { publicMessage } = await protectProposalPublic(
    privateKey,
    membershipKey,
    context,
    NOTHING,
    proposal,
    SENDER,
    suite,
  );
  const secretTree = await createSecretTree(LEAVES, channel.encryptionSecret, suite.kdf);
  const { privateMessage } = await protectProposal(
    privateKey,
    senderDataSecret,
    proposal,
    NOTHING,
    context,
    secretTree,
    SENDER,
    defaultPaddingConfig,
    suite,
  );
  return [
    framed({ version: 'mls10', wireformat: 'mls_public_message', publicMessage }),
    framed({ version: 'mls10', wireformat: 'mls_private_message', privateMessage }),
  ];
}

/** The vector's commit likewise; its confirmation tag is nobody's. */
async function commits(vector: MessageProtection, channel: Channel): Promise<string[]> {
  const { suite, context, membershipKey, privateKey, senderDataSecret } = channel;
  const tls = vectorBytes(vector.commit);
  const commit = decodeStrict(tls, 'commit', decodeCommit, encodeCommit);
  const confirmationTag = suite.rng.randomBytes(suite.kdf.size);
  const sign = async (wireformat: 'mls_public_message' | 'mls_private_message') => {
    const { framedContent, signature } = await createContentCommitSignature(
      context,
      wireformat,
      commit,
      { senderType: 'member', leafIndex: SENDER },
      NOTHING,
      privateKey,
      suite.signature,
    );
    const auth = { contentType: 'commit', signature, confirmationTag } as const;
    return { wireformat, content: framedContent, auth };
  };
  const content = await sign('mls_public_message');
  const publicMessage = await protectPublicMessage(membershipKey, context, content, suite);
  const secretTree = await createSecretTree(LEAVES, channel.encryptionSecret, suite.kdf);
  const { content: framedContent, auth } = await sign('mls_private_message');
  const { privateMessage } = await protect(
    senderDataSecret,
    NOTHING,
    context,
    secretTree,
    { ...framedContent, auth },
    SENDER,
    defaultPaddingConfig,
    suite,
  );
  return [
    framed({ version: 'mls10', wireformat: 'mls_public_message', publicMessage }),
    framed({ version: 'mls10', wireformat: 'mls_private_message', privateMessage }),
  ];
}

async function applicationMessage(vector: MessageProtection, channel: Channel): Promise<string> {
  const { suite, context, privateKey, senderDataSecret } = channel;
  const secretTree = await createSecretTree(LEAVES, channel.encryptionSecret, suite.kdf);
  const { privateMessage } = await protectApplicationData(
    privateKey,
    senderDataSecret,
    vectorBytes(vector.application),
    NOTHING,
    context,
    secretTree,
    SENDER,
    defaultPaddingConfig,
    suite,
  );
  return framed({ version: 'mls10', wireformat: 'mls_private_message', privateMessage });
}

function framed(message: MLSMessage): string {
  return toHex(encodeMlsMessage(message));
}
