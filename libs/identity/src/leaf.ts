import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import { UserId, writeScoped } from '@roost/core/ids';
import { Failure } from '@roost/core/failure';
import { decodeAll, encode, type Reader, type Writer } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';
import { openSealed, padTo, sealRandom, unpad } from '@roost/crypto/sealed';

import type { Authority } from './authority.ts';
import {
  type ClientCredential,
  type NameBinding,
  verifyClientCredential,
  verifyNameBinding,
} from './credentials.ts';
import {
  CREDENTIAL_BYTES_MAX,
  HASH_BYTES,
  KEY_BYTES,
  SIGNATURE_BYTES,
  type Standing,
  VERSION,
} from './structure.ts';

/**
 * Leaf credentials (design §3): to the hub a leaf is a pseudonym; to members, who hold its link key,
 * it is a client, whose identity link they verify.
 */

/** The identity of a leaf's `basic` credential. */
export interface LeafIdentity {
  readonly pseudonym: Uint8Array;
  readonly linkKeyHash: Uint8Array;
  readonly sealedLink: Uint8Array;
}

/** A leaf as the commit that adds it declares it. */
export interface AddedLeaf {
  readonly leafSignatureKey: Uint8Array;
  readonly participantId: Uint8Array;
  readonly wrappedLinkKey: Uint8Array;
}

/** What stands in the authenticated data of every commit, in the order of its Adds. */
export interface CommitAad {
  readonly added: readonly AddedLeaf[];
}

/** Who signs a link: a client by its credential, with the name that it goes by. */
export interface LinkSigner {
  /** ClientCredential, encoded. */
  readonly clientCredential: Uint8Array;
  /** NameBinding, encoded. */
  readonly nameBinding: Uint8Array;
  readonly privateKey: Uint8Array;
}

/** Who stands behind a leaf, verified up to the root of its domain. */
export interface LinkedClient {
  readonly credential: ClientCredential;
  readonly binding: NameBinding;
  /** The worse of the two. */
  readonly standing: Standing;
}

/** Leaves that one commit may add. */
export const ADDED_LEAVES_MAX = 256;
export const PARTICIPANT_ID_BYTES = 16;

const PSEUDONYM_BYTES = 16;
const LINK_LABEL = 'IdentityLink';
const LINK_PADDING = 256;
const SEALED_LINK_BYTES_MAX = 32_768;
/** Sealed: nonce, key, tag. */
const WRAPPED_KEY_BYTES = 12 + KEY_BYTES + 16;

/** Makes the identity of a new leaf: a pseudonym, and a link that opens with the link key. */
export function makeLeafIdentity(
  crypto: Crypto,
  signer: LinkSigner,
  leafKey: Uint8Array,
  linkKey: Uint8Array,
): Uint8Array<ArrayBuffer> {
  assert(linkKey.length === KEY_BYTES, 'a link key has 32 bytes');
  const link = encode((w) =>
    w
      .u16(VERSION)
      .opaque(signer.clientCredential)
      .opaque(signer.nameBinding)
      .opaque(signWithLabel(crypto, signer.privateKey, LINK_LABEL, leafKey)),
  );
  const sealed = sealRandom(crypto, linkKey, leafKey, padTo(link, LINK_PADDING));
  return encode((w) =>
    w
      .u16(VERSION)
      .fixed(crypto.random(PSEUDONYM_BYTES))
      .fixed(crypto.sha256(linkKey))
      .opaque(sealed),
  );
}

/** Reads the identity of a leaf; all that the hub can do with it. */
export function decodeLeafIdentity(bytes: Uint8Array): LeafIdentity {
  return decodeAll(bytes, 'LeafIdentity', (reader) => {
    reader.version(VERSION);
    return {
      pseudonym: reader.fixed(PSEUDONYM_BYTES),
      linkKeyHash: reader.fixed(HASH_BYTES),
      sealedLink: reader.opaque(SEALED_LINK_BYTES_MAX),
    };
  });
}

/** An identity link as it was sealed, unverified. */
export interface IdentityLink {
  readonly clientCredential: Uint8Array;
  readonly nameBinding: Uint8Array;
  readonly signature: Uint8Array;
}

/** Opens the link of a leaf. Throws where the key is not the one that the leaf was made with. */
export function openLink(
  crypto: Crypto,
  identity: LeafIdentity,
  leafKey: Uint8Array,
  linkKey: Uint8Array,
): IdentityLink {
  if (!crypto.equal(crypto.sha256(linkKey), identity.linkKeyHash)) {
    throw forged('the link key is another');
  }
  const padded = openSealed(crypto, linkKey, leafKey, identity.sealedLink);
  if (padded === undefined) throw forged('it does not open');
  return decodeAll(unpad(padded), 'IdentityLink', (reader) => {
    reader.version(VERSION);
    return {
      clientCredential: reader.opaque(CREDENTIAL_BYTES_MAX),
      nameBinding: reader.opaque(CREDENTIAL_BYTES_MAX),
      signature: reader.opaque(SIGNATURE_BYTES),
    };
  });
}

/**
 * Verifies an open link: the client signed this leaf's key, its domain vouches for the client and
 * for the name, and both are of one user.
 */
export function verifyLink(
  crypto: Crypto,
  link: IdentityLink,
  leafKey: Uint8Array,
  { authority, nowMs }: { readonly authority: Authority; readonly nowMs: number },
): LinkedClient {
  const linked = verifyClientAndName(crypto, link, { authority, nowMs });
  const { publicKey } = linked.credential;
  if (!verifyWithLabel(crypto, publicKey, LINK_LABEL, leafKey, link.signature)) {
    throw forged('the client did not sign for this leaf');
  }
  return linked;
}

/** Verifies a credential and a name that have to be of one user, as they stand in many structures. */
export function verifyClientAndName(
  crypto: Crypto,
  { clientCredential, nameBinding }: { clientCredential: Uint8Array; nameBinding: Uint8Array },
  { authority, nowMs }: { readonly authority: Authority; readonly nowMs: number },
): LinkedClient {
  const client = verifyClientCredential(crypto, clientCredential, authority, nowMs);
  const name = verifyNameBinding(crypto, nameBinding, authority, nowMs);
  if (client.credential.clientId.user.uuid !== name.binding.userId.uuid) {
    throw forged('the name is of another user');
  }
  const standing = client.standing === 'valid' ? name.standing : client.standing;
  return { credential: client.credential, binding: name.binding, standing };
}

/** Wraps a link key for the members of a group, under the group's link wrapper key. */
export function wrapLinkKey(
  crypto: Crypto,
  linkWrapperKey: Uint8Array,
  leafKey: Uint8Array,
  linkKey: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return sealRandom(crypto, linkWrapperKey, leafKey, linkKey);
}

/** Throws where it was wrapped for another leaf or under another key. */
export function unwrapLinkKey(
  crypto: Crypto,
  linkWrapperKey: Uint8Array,
  leafKey: Uint8Array,
  wrapped: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const linkKey = openSealed(crypto, linkWrapperKey, leafKey, wrapped);
  if (linkKey?.length !== KEY_BYTES) throw forged('the wrapped link key does not open');
  return linkKey;
}

/** The id of a user in one group: equal for all its clients there, unlinkable between groups. */
export function participantIdOf(
  crypto: Crypto,
  participantKey: Uint8Array,
  user: UserId,
): Uint8Array<ArrayBuffer> {
  const id = encode((w) => writeScoped(w, user));
  return crypto.hmacSha256(participantKey, id).slice(0, PARTICIPANT_ID_BYTES);
}

export function encodeAddedLeaf(leaf: AddedLeaf): Uint8Array<ArrayBuffer> {
  return encode((writer) => writeAddedLeaf(writer, leaf));
}

export function decodeAddedLeaf(bytes: Uint8Array): AddedLeaf {
  return decodeAll(bytes, 'AddedLeaf', readAddedLeaf);
}

export function encodeCommitAad({ added }: CommitAad): Uint8Array<ArrayBuffer> {
  assert(added.length <= ADDED_LEAVES_MAX, 'a commit declares as many leaves as are read');
  return encode((writer) => writer.u16(VERSION).vector(added, writeAddedLeaf));
}

/** Refuses what is not a CommitAad, and two entries for one leaf. */
export function decodeCommitAad(bytes: Uint8Array): CommitAad {
  return decodeAll(bytes, 'CommitAad', (reader) => {
    reader.version(VERSION);
    const added = reader.vector(ADDED_LEAVES_MAX, readAddedLeaf);
    if (new Set(added.map(({ leafSignatureKey }) => toHex(leafSignatureKey))).size < added.length) {
      throw reader.refuse('a leaf is declared twice');
    }
    return { added };
  });
}

function writeAddedLeaf(writer: Writer, leaf: AddedLeaf): void {
  const { leafSignatureKey, participantId, wrappedLinkKey } = leaf;
  assert(leafSignatureKey.length === KEY_BYTES, 'a leaf is named by its Ed25519 key');
  assert(participantId.length === PARTICIPANT_ID_BYTES, 'a participant id has 16 bytes');
  writer.u16(VERSION).fixed(leafSignatureKey).fixed(participantId).opaque(wrappedLinkKey);
}

function readAddedLeaf(reader: Reader): AddedLeaf {
  reader.version(VERSION);
  return {
    leafSignatureKey: reader.fixed(KEY_BYTES),
    participantId: reader.fixed(PARTICIPANT_ID_BYTES),
    wrappedLinkKey: reader.opaque(WRAPPED_KEY_BYTES),
  };
}

function forged(message: string): Failure {
  return new Failure('UNAUTHENTICATED', `identity link: ${message}`);
}
