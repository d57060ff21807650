import { Failure } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';
import type { Reader, Writer } from '@roost/core/tls';
import { decodeGroupContext } from 'ts-mls/groupContext.js';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { decodeStrict, parseHandshake } from './message.ts';
import type { Actor } from './proposals.ts';
import { proposalKey } from './public-group.ts';
import type { PendingProposal, PublicGroup } from './public-group.ts';
import { refHash, storedSuiteOf } from './suite.ts';
import type { MlsCrypto } from './suite.ts';
import { Tally } from './tree-index.ts';
import { Leaf, Parent } from './tree-node.ts';
import type { TreeNode } from './tree-node.ts';
import { Tree } from './tree.ts';

/**
 * The public group as a server stores it (before it encrypts it): versioned, and made to be opened
 * quickly. It holds the tree hashes of parents and the tally of what members support, so that a
 * commit after a cold start costs by its path. What is read back is trusted, not validated again.
 */
const VERSION = 1;

const BLANK = 0;
const LEAF = 1;
const PARENT = 2;

const LIST_MAX = 1 << 20;

export function encodePublicGroup(group: PublicGroup): Uint8Array<ArrayBuffer> {
  const { tree } = group;
  // Hashes are computed before they are listed: the next reader shall find them all.
  tree.rootHash();
  return encode((writer) => {
    writer.u16(VERSION).opaque(group.contextTls).opaque(group.interimTranscriptHash);
    writer.opaque(group.groupInfoTls);
    writer.vector([...tree.tally.counts], (inner, [what, count]) => inner.text(what).u32(count));
    writer.vector(tree.nodes, writeNode);
    writer.vector(
      tree.nodes.filter((_, at) => at % 2 === 1).map((_, at) => tree.hashOf(at * 2 + 1)),
      (inner, hash) => inner.opaque(hash),
    );
    writer.vector([...group.proposals.values()], (inner, { message }) => inner.opaque(message.tls));
  });
}

/** Reads what `encodePublicGroup` wrote; refuses other versions and damage that shows. */
export function decodePublicGroup(crypto: MlsCrypto, snapshot: Uint8Array): PublicGroup {
  return decodeAll(snapshot, 'public group', (reader) => {
    reader.version(VERSION);
    const contextTls = reader.opaque(snapshot.length);
    const context = decodeStrict(
      contextTls,
      'GroupContext',
      decodeGroupContext,
      encodeGroupContext,
    );
    const suite = storedSuiteOf(crypto, context.cipherSuite);
    const interimTranscriptHash = reader.opaque(suite.hashBytes);
    const groupInfoTls = reader.opaque(snapshot.length);
    const counts = reader.vector(LIST_MAX, (inner) => [inner.text(64), inner.u32()] as const);
    const nodes = reader.vector(LIST_MAX, readNode);
    const parentHashes = reader.vector(LIST_MAX, (inner) => inner.opaque(suite.hashBytes));
    const hashes = nodes.map((_, at) => (at % 2 === 1 ? parentHashes[(at - 1) / 2] : undefined));
    const tree = new Tree(suite, nodes, { tally: new Tally(new Map(counts)), hashes });
    const messages = reader.vector(LIST_MAX, (inner) => parseHandshake(inner.opaque(LIST_MAX * 2)));
    const proposals = new Map(
      messages.map((message): [string, PendingProposal] => {
        if (message.kind !== 'proposal') throw reader.refuse('a pending proposal is none');
        const ref = refHash(suite, 'Proposal Reference', message.authenticatedContent);
        return [proposalKey(ref), { ref, message, actor: actorOf(message.sender) }];
      }),
    );
    return { suite, context, contextTls, tree, interimTranscriptHash, groupInfoTls, proposals };
  });
}

function writeNode(writer: Writer, node: TreeNode | undefined): void {
  if (node === undefined) writer.u8(BLANK);
  else writer.u8(node.kind === 'leaf' ? LEAF : PARENT).opaque(node.tls);
}

function readNode(reader: Reader): TreeNode | undefined {
  const kind = reader.u8();
  if (kind === BLANK) return undefined;
  const tls = reader.opaque(reader.remaining);
  if (kind === LEAF) return new Leaf(tls);
  if (kind !== PARENT) throw reader.refuse(`node kind ${kind} is unknown`);
  return decodeAll(tls, 'parent node', (inner) => {
    const encryptionKey = inner.opaque(tls.length);
    const parentHash = inner.opaque(tls.length);
    return new Parent(
      encryptionKey,
      parentHash,
      inner.vector(LIST_MAX, (leaf) => leaf.u32()),
    );
  });
}

function actorOf(sender: PendingProposal['message']['sender']): Actor {
  if (sender.senderType === 'member') return { kind: 'member', leafIndex: sender.leafIndex };
  if (sender.senderType === 'external') {
    return { kind: 'external', senderIndex: sender.senderIndex };
  }
  if (sender.senderType === 'new_member_proposal') return { kind: 'newcomer' };
  throw new Failure('MALFORMED', 'public group: a pending proposal has no sender');
}
