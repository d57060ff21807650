import { equal, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId, printUserName } from '@roost/core/ids';
import {
  type AddedLeaf,
  decodeAddedLeaf,
  encodeAddedLeaf,
  makeLeafIdentity,
  openLink,
  participantIdOf,
  decodeLeafIdentity,
  unwrapLinkKey,
  verifyLink,
  wrapLinkKey,
} from '@roost/identity/leaf';
import { UnknownIssuer } from '@roost/identity/authority';
import { identityOf } from '@roost/mls/key-package';
import { parseParticipantId } from '@roost/mls/room';
import type { LeafLink } from '@roost/proto/roost/delivery/v1/delivery';
import type { LeafNode } from 'ts-mls/leafNode.js';
import { accountOf, type Core, credentialsOf, ownClient } from './core.ts';
import { leavesOf, parseTree, type PlacedLeaf } from './mls.ts';
import {
  contacts,
  type GroupKeys,
  type Member,
  type MemberIdentity,
  type OwnLeaf,
} from './state.ts';
import { domainOf } from './trust.ts';

type LinkCore = Pick<Core, 'crypto' | 'clock' | 'trust' | 'ledger'>;

/** What whoever brought a leaf in declared of it. */
export type DeclaredLeaf = AddedLeaf;

/** A leaf of our own: a fresh key, a fresh link key, a fresh handle. Only its link says who we are. */
export function newLeaf(core: Pick<Core, 'crypto' | 'ledger'>): {
  readonly leaf: OwnLeaf;
  readonly identity: Uint8Array;
} {
  const { crypto } = core;
  const signing = crypto.ed25519.generate();
  const [linkKey, handle, pushKey] = [crypto.random(32), crypto.random(32), crypto.random(32)];
  const leaf = { signing, linkKey, handle, pushKey };
  return { leaf, identity: leafIdentity(core, leaf) };
}

/** The identity of a leaf of our own, by the name and the credential that we have now. */
export function leafIdentity(
  core: Pick<Core, 'crypto' | 'ledger'>,
  { signing, linkKey }: OwnLeaf,
): Uint8Array {
  const { clientCredential, nameBinding } = credentialsOf(core);
  const { privateKey } = accountOf(core).signing;
  const signer = { clientCredential, nameBinding, privateKey };
  return makeLeafIdentity(core.crypto, signer, signing.publicKey, linkKey);
}

/** What we declare of our own leaf where we bring it into a group ourselves. */
export function declareOwn(core: Core, keys: GroupKeys, leaf: OwnLeaf): DeclaredLeaf {
  const { publicKey } = leaf.signing;
  return declare(core, keys, {
    leafKey: publicKey,
    linkKey: leaf.linkKey,
    user: ownClient(core).user,
  });
}

/** What an adder declares of a leaf: its link key wrapped for the group, and its participant id. */
export function declare(
  { crypto }: Pick<Core, 'crypto'>,
  { linkWrapperKey, participantKey }: GroupKeys,
  added: {
    readonly leafKey: Uint8Array;
    readonly linkKey: Uint8Array;
    readonly user: MemberIdentity['user'];
  },
): DeclaredLeaf {
  const { leafKey, linkKey, user } = added;
  return {
    leafSignatureKey: leafKey,
    participantId: participantIdOf(crypto, participantKey, user),
    wrappedLinkKey: wrapLinkKey(crypto, linkWrapperKey, leafKey, linkKey),
  };
}

/** A leaf of a group with who is behind it, if it proves it; or whose keys would tell. */
export function memberOf(
  core: LinkCore,
  keys: GroupKeys,
  placed: PlacedLeaf,
  declared: DeclaredLeaf | undefined,
): Member {
  const { leafIndex, leaf } = placed;
  const member = {
    leafIndex,
    signatureKey: leaf.signaturePublicKey,
    addedLeaf: declared === undefined ? new Uint8Array(0) : encodeAddedLeaf(declared),
    participant: parseParticipantId(declared?.participantId ?? new Uint8Array(16)),
  };
  if (declared === undefined) return member;
  try {
    return { ...member, identity: identityBehind(core, keys, leaf, declared) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const isUnjudged = error instanceof UnknownIssuer && !core.trust.hasAnswered(error.domain);
    return isUnjudged ? { ...member, unjudged: error.domain } : member;
  }
}

/** The members of a tree by what the hub holds of their links; who does not prove it has no identity. */
export function membersIn(
  core: LinkCore,
  keys: GroupKeys,
  tree: Uint8Array,
  links: readonly LeafLink[],
): Member[] {
  const declared = new Map<string, DeclaredLeaf>();
  for (const { addedLeaf } of links) {
    const leaf = decodeAddedLeaf(addedLeaf);
    declared.set(toHex(leaf.leafSignatureKey), leaf);
  }
  return leavesOf(parseTree(tree)).map((placed) =>
    memberOf(core, keys, placed, declared.get(toHex(placed.leaf.signaturePublicKey))),
  );
}

/** Who is behind a leaf. Throws where its link, its link key or its participant id is another's. */
function identityBehind(
  core: LinkCore,
  keys: GroupKeys,
  leaf: LeafNode,
  declared: DeclaredLeaf,
): MemberIdentity {
  const { crypto } = core;
  const leafKey = leaf.signaturePublicKey;
  const { wrappedLinkKey, participantId } = declared;
  const linkKey = unwrapLinkKey(crypto, keys.linkWrapperKey, leafKey, wrappedLinkKey);
  // One that has expired since was good when its leaf came in.
  const { standing: _, ...identity } = linkedIdentity(core, leaf, linkKey);
  const expected = participantIdOf(crypto, keys.participantKey, identity.user);
  if (!crypto.equal(expected, participantId)) {
    throw new Failure('UNAUTHENTICATED', 'a leaf is declared to be of another participant');
  }
  return identity;
}

/**
 * Who is behind a leaf, by its link key alone: a KeyPackage belongs to no group yet. Whether the
 * credential has expired is told, as it matters only where the leaf is about to be added.
 */
export function linkedIdentity(
  { crypto, trust, ledger }: LinkCore,
  leaf: LeafNode,
  linkKey: Uint8Array,
): MemberIdentity & { readonly standing: 'valid' | 'expired' } {
  const leafKey = leaf.signaturePublicKey;
  const link = openLink(crypto, decodeLeafIdentity(identityOf(leaf)), leafKey, linkKey);
  const linked = trust.by(domainOf(link.clientCredential), (judged) => {
    const { standing, ...verified } = verifyLink(crypto, link, leafKey, judged);
    if (standing === 'valid' || standing === 'expired') return { ...verified, standing };
    throw new Failure('UNAUTHENTICATED', `the credential of a leaf is ${standing}`);
  });
  const { credential, binding, standing } = linked;
  const contact = ledger.get(contacts, printId(credential.clientId.user));
  if (contact !== undefined && !equal(contact.recoveryKeyHash, credential.recoveryKeyHash)) {
    throw new Failure('UNAUTHENTICATED', 'the recovery key of a contact is another than it was');
  }
  return {
    standing,
    user: credential.clientId.user,
    client: credential.clientId,
    userName: printUserName(binding.userName),
    clientKey: credential.publicKey,
    recoveryKeyHash: credential.recoveryKeyHash,
  };
}
