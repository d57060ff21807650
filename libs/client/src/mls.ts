import { Failure } from '@roost/core/failure';
import { HOUR_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { EXTENSION } from '@roost/mls/extensions';
import {
  decodeStrict,
  type HandshakeMessage,
  invalid,
  parseGroupInfo,
  parseWelcome,
  publicMessageOf,
} from '@roost/mls/message';
import { ciphersuiteOf, SUITE_1 } from '@roost/mls/provider';
import {
  type ClientState,
  createApplicationMessage,
  createCommit,
  createGroup,
  createGroupInfoWithExternalPub,
  createProposal,
  decodeMlsMessage,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackageWithKey,
  joinGroup,
  joinGroupExternal,
  type KeyPackage,
  type PrivateKeyPackage,
  type PrivateMessage,
  processPublicMessage,
  type Proposal,
} from 'ts-mls';
import type { CiphersuiteImpl } from 'ts-mls/crypto/ciphersuite.js';
import type { Extension } from 'ts-mls/extension.js';
import type { LeafNode } from 'ts-mls/leafNode.js';
import { unprotectPrivateMessage } from 'ts-mls/messageProtection.js';
import { decodeRatchetTree, encodeRatchetTree, type RatchetTree } from 'ts-mls/ratchetTree.js';
import { KEY_RETENTION, LIFETIME_MS, mlsConfig } from './mls-config.ts';

export type { ClientState, KeyPackage, PrivateKeyPackage, Proposal };

/** A leaf of a group's tree. */
export interface PlacedLeaf {
  readonly leafIndex: number;
  readonly leaf: LeafNode;
}

/** A commit that is made but not accepted yet, and where it leads. */
export interface MadeCommit {
  readonly next: ClientState;
  readonly commit: Uint8Array;
  readonly groupInfo: Uint8Array;
  readonly welcome: Uint8Array | undefined;
}

/** What a client does with MLS (RFC 9420), by ts-mls over our own cryptography. */
export class Mls {
  readonly #suite: CiphersuiteImpl;

  constructor(crypto: Crypto) {
    this.#suite = ciphersuiteOf(crypto, SUITE_1);
  }

  async keyPackage(leaf: {
    readonly identity: Uint8Array;
    readonly publicKey: Uint8Array;
    readonly privateKey: Uint8Array;
    readonly extensions: Extension[];
    readonly nowMs: number;
  }) {
    return generateKeyPackageWithKey(
      { credentialType: 'basic', identity: leaf.identity },
      {
        versions: ['mls10'],
        ciphersuites: [SUITE_1],
        extensions: [EXTENSION.roomState, EXTENSION.queueConfig, EXTENSION.lastResort],
        proposals: [],
        credentials: ['basic'],
      },
      { notBefore: seconds(leaf.nowMs - HOUR_MS), notAfter: seconds(leaf.nowMs + LIFETIME_MS) },
      leaf.extensions,
      { signKey: leaf.privateKey, publicKey: leaf.publicKey },
      this.#suite,
    );
  }

  async create(
    groupId: Uint8Array,
    keys: { readonly publicPackage: KeyPackage; readonly privatePackage: PrivateKeyPackage },
    extensions: Extension[],
  ) {
    const { publicPackage, privatePackage } = keys;
    const suite = this.#suite;
    const state = await createGroup(
      groupId,
      publicPackage,
      privatePackage,
      extensions,
      suite,
      mlsConfig,
    );
    return {
      state,
      groupInfo: await this.groupInfo(state),
      tree: encodeRatchetTree(state.ratchetTree),
    };
  }

  /** Commits these proposals and whatever else is proposed. */
  async commit(
    state: ClientState,
    proposals: Proposal[],
    authenticatedData: Uint8Array,
  ): Promise<MadeCommit> {
    const { newState, commit, welcome } = await createCommit(
      { state, cipherSuite: this.#suite },
      { wireAsPublicMessage: true, extraProposals: proposals, authenticatedData },
    );
    return {
      next: newState,
      commit: encodeMlsMessage(commit),
      groupInfo: await this.groupInfo(newState),
      welcome:
        welcome === undefined
          ? undefined
          : encodeMlsMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome }),
    };
  }

  /** As a resync it removes the leaf that has the same signature key. */
  async externalCommit(
    from: { readonly groupInfo: Uint8Array; readonly tree: Uint8Array },
    keys: { readonly publicPackage: KeyPackage; readonly privatePackage: PrivateKeyPackage },
    authenticatedData: Uint8Array,
    { isResync = false }: { readonly isResync?: boolean } = {},
  ): Promise<MadeCommit> {
    const { publicMessage, newState } = await joinGroupExternal(
      parseGroupInfo(from.groupInfo),
      keys.publicPackage,
      keys.privatePackage,
      isResync,
      this.#suite,
      parseTree(from.tree),
      mlsConfig,
      authenticatedData,
    );
    return {
      next: newState,
      commit: encodeMlsMessage({
        version: 'mls10',
        wireformat: 'mls_public_message',
        publicMessage,
      }),
      groupInfo: await this.groupInfo(newState),
      welcome: undefined,
    };
  }

  async join(
    welcome: Uint8Array,
    keys: { readonly publicPackage: KeyPackage; readonly privatePackage: PrivateKeyPackage },
    tree: Uint8Array,
  ): Promise<ClientState> {
    return joinGroup(
      parseWelcome(welcome),
      keys.publicPackage,
      keys.privatePackage,
      emptyPskIndex,
      this.#suite,
      parseTree(tree),
      undefined,
      mlsConfig,
    );
  }

  /** A proposal to remove a leaf; of our own leaf it says that we leave. */
  async proposeRemove(state: ClientState, leafIndex: number) {
    const proposal: Proposal = { proposalType: 'remove', remove: { removed: leafIndex } };
    const { newState, message } = await createProposal(state, true, proposal, this.#suite);
    return { next: newState, proposal: encodeMlsMessage(message) };
  }

  /** The state after somebody else's commit or proposal of the current epoch. */
  async apply(state: ClientState, message: HandshakeMessage): Promise<ClientState> {
    const publicMessage = publicMessageOf(message);
    return (await processPublicMessage(state, publicMessage, emptyPskIndex, this.#suite)).newState;
  }

  async encrypt(state: ClientState, content: Uint8Array) {
    const { newState, privateMessage } = await createApplicationMessage(
      state,
      content,
      this.#suite,
    );
    return {
      next: newState,
      message: encodeMlsMessage({
        version: 'mls10',
        wireformat: 'mls_private_message',
        privateMessage,
      }),
    };
  }

  /** Decrypts an application message of this epoch or one of the last. */
  async decrypt(state: ClientState, tls: Uint8Array) {
    const message = parsePrivate(tls);
    const isPast = message.epoch < state.groupContext.epoch;
    const past = state.historicalReceiverData.get(message.epoch);
    if (isPast && past === undefined) throw invalid('the epoch of a message is too long ago');
    const from = past ?? { ...state, senderDataSecret: state.keySchedule.senderDataSecret };
    const { content, tree } = await unprotectPrivateMessage(
      from.senderDataSecret,
      message,
      from.secretTree,
      from.ratchetTree,
      from.groupContext,
      KEY_RETENTION,
      this.#suite,
    );
    const { sender, ...framed } = content.content;
    if (framed.contentType !== 'application' || sender.senderType !== 'member') {
      throw invalid('a PrivateMessage holds no application data of a member');
    }
    const leaf = leafAt(from.ratchetTree, sender.leafIndex);
    if (leaf === undefined) throw invalid('the sender of a message is no member');
    const historicalReceiverData = new Map(state.historicalReceiverData);
    if (past !== undefined) {
      historicalReceiverData.set(message.epoch, { ...past, secretTree: tree });
    }
    return {
      next:
        past === undefined ? { ...state, secretTree: tree } : { ...state, historicalReceiverData },
      content: framed.applicationData,
      senderKey: leaf.signaturePublicKey,
    };
  }

  /** The GroupInfo of an epoch, with external_pub and without the tree. */
  async groupInfo(state: ClientState): Promise<Uint8Array> {
    const groupInfo = await createGroupInfoWithExternalPub(state, [], this.#suite);
    return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_group_info', groupInfo });
  }
}

export function parseTree(tls: Uint8Array): RatchetTree {
  return decodeStrict(tls, 'ratchet tree', decodeRatchetTree, encodeRatchetTree);
}

/** All leaves, in their order. */
export function leavesOf(tree: RatchetTree): PlacedLeaf[] {
  return tree.flatMap((node, at) =>
    node?.nodeType === 'leaf' ? [{ leafIndex: at / 2, leaf: node.leaf }] : [],
  );
}

function leafAt(tree: RatchetTree, leafIndex: number): LeafNode | undefined {
  const node = tree[leafIndex * 2];
  return node?.nodeType === 'leaf' ? node.leaf : undefined;
}

function parsePrivate(tls: Uint8Array): PrivateMessage {
  const message = decodeStrict(tls, 'application message', decodeMlsMessage, encodeMlsMessage);
  if (message.wireformat !== 'mls_private_message') {
    throw new Failure('INVALID_MLS', 'an application message is not a PrivateMessage');
  }
  return message.privateMessage;
}

/** Lifetimes are in seconds (RFC 9420 §7.2). */
function seconds(ms: number): bigint {
  return BigInt(Math.floor(ms / 1000));
}
