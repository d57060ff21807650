import { Walk } from './bytes-walk.ts';

/**
 * The grammar of MLSMessages (RFC 9420 §6 to §12), walked over before anything is decoded. What
 * passes has one meaning and one encoding, and costs no more to decode than its bounds allow: a
 * message of 2 MiB whose lists have a million empty entries would keep a decoder busy for seconds.
 */

/** Entries of all lists of a message: the ciphertexts of a path in a group of 25,000 fit. */
export const ENTRIES_MAX = 26_000;
/** Proposals of a commit, or joiners of a Welcome: all that can wait for it, and 256 Adds. */
export const COMMIT_PROPOSALS_MAX = 1_280;
/** Longer keys and signatures than any suite has: those of ML-DSA-87 are 2,592 and 4,627 bytes. */
const KEY_BYTES_MAX = 4_096;
const SIGNATURE_BYTES_MAX = 8_192;
/** Everybody keeps every leaf: a chain of certificates with signatures of ML-DSA-87 fits. */
export const LEAF_BYTES_MAX = 32_768;
/** Of every AEAD that a suite has (RFC 9420 §17.1). */
export const AEAD_TAG_BYTES = 16;
/** Every signature in a group is over its extensions: the roles of 10,000 participants fit. */
export const GROUP_EXTENSIONS_BYTES_MAX = 256 * 1024;
/** Each commit reads these again: senders outside, or what every member must be able to do. */
const EXTENSION_ENTRIES_MAX = 256;
/** A tree has less than 2^32 nodes. */
const PATH_NODES_MAX = 32;

/** Where the parts of a handshake message end that are signed, and referred to. */
export interface Ends {
  readonly content: number;
  readonly auth: number;
}

/** Walks an MLSMessage; refuses with a sentence that names it `what`. */
export function walkMessage(bytes: Uint8Array, what: string): Ends {
  const walk = new Walk(bytes, { what, entriesMax: ENTRIES_MAX });
  walk.known(2, [1], 'protocol version (RFC 9420 §6)');
  const ends = walkContent(walk, walk.known(2, [1, 2, 3, 4, 5], 'wire format (RFC 9420 §6)'));
  walk.end();
  return ends;
}

function walkContent(walk: Walk, wireFormat: number): Ends {
  if (wireFormat === 1) return publicMessage(walk);
  if (wireFormat === 2) privateMessage(walk);
  if (wireFormat === 3) welcome(walk);
  if (wireFormat === 4) groupInfo(walk);
  if (wireFormat === 5) keyPackage(walk);
  return { content: walk.at, auth: walk.at };
}

/** Walks a LeafNode that stands before other things, as in a ratchet tree. */
export function walkLeaf(walk: Walk, sources: readonly number[] = [1, 2, 3]): void {
  const from = walk.at;
  key(walk);
  key(walk);
  credential(walk);
  for (let kind = 0; kind < 5; kind++) walk.list(ENTRIES_MAX, () => walk.skip(2));
  const source = walk.known(1, sources, 'leaf node source (RFC 9420 §7.2)');
  if (source === 1) walk.skip(16);
  if (source === 3) walk.opaque();
  extensions(walk);
  signature(walk);
  if (walk.at - from > LEAF_BYTES_MAX) {
    throw walk.refuse(`has a leaf of more than ${LEAF_BYTES_MAX} bytes`);
  }
}

/** Walks a ParentNode (RFC 9420 §7.1). */
export function walkParent(walk: Walk): void {
  key(walk);
  walk.opaque(); // parent_hash
  walk.list(ENTRIES_MAX, () => walk.skip(4));
}

/** Walks the contents of an external_senders extension (RFC 9420 §12.1.8.1). */
export function walkExternalSenders(bytes: Uint8Array): void {
  const walk = new Walk(bytes, { what: 'external_senders', entriesMax: EXTENSION_ENTRIES_MAX });
  walk.list(EXTENSION_ENTRIES_MAX, () => {
    key(walk);
    credential(walk);
  });
  walk.end();
}

/** Walks the contents of a required_capabilities extension (RFC 9420 §11.1). */
export function walkRequiredCapabilities(bytes: Uint8Array): void {
  const walk = new Walk(bytes, {
    what: 'required_capabilities',
    entriesMax: EXTENSION_ENTRIES_MAX,
  });
  for (let kind = 0; kind < 3; kind++) walk.list(EXTENSION_ENTRIES_MAX, () => walk.skip(2));
  walk.end();
}

function publicMessage(walk: Walk): Ends {
  walk.opaque(); // group_id
  walk.skip(8); // epoch
  const sender = walk.known(1, [1, 2, 3, 4], 'sender type (RFC 9420 §6)');
  if (sender <= 2) walk.skip(4);
  walk.opaque(); // authenticated_data
  const contentType = walk.known(1, [1, 2, 3], 'content type (RFC 9420 §6)');
  if (contentType === 1) walk.opaque();
  if (contentType === 2) proposal(walk);
  if (contentType === 3) commit(walk);
  const content = walk.at;
  signature(walk);
  if (contentType === 3) walk.opaque(); // confirmation_tag
  const auth = walk.at;
  if (sender === 1) walk.opaque(); // membership_tag
  return { content, auth };
}

function privateMessage(walk: Walk): void {
  walk.opaque(); // group_id
  walk.skip(8); // epoch
  walk.known(1, [1, 2, 3], 'content type (RFC 9420 §6)');
  for (let field = 0; field < 3; field++) walk.opaque();
}

function commit(walk: Walk): void {
  walk.list(COMMIT_PROPOSALS_MAX, () => {
    if (walk.known(1, [1, 2], 'kind of proposal (RFC 9420 §12.4)') === 1) proposal(walk);
    else walk.opaque();
  });
  walk.optional(() => {
    walkLeaf(walk, [3]);
    walk.list(PATH_NODES_MAX, () => {
      key(walk);
      walk.list(ENTRIES_MAX, () => ciphertext(walk));
    });
  });
}

function proposal(walk: Walk): void {
  const type = walk.number(2);
  if (type === 1) return keyPackage(walk);
  if (type === 2) return walkLeaf(walk, [2]);
  if (type === 3) return walk.skip(4);
  if (type === 4) return preSharedKeyId(walk);
  if (type === 5) {
    walk.opaque(); // group_id
    walk.known(2, [1], 'protocol version (RFC 9420 §6)');
    walk.skip(2); // cipher_suite
    return extensions(walk);
  }
  if (type === 7) return extensions(walk);
  const draft = DRAFTS[type];
  if (draft !== undefined) {
    throw walk.refuse(
      `has a proposal of the type ${draft}, which is not supported (RFC 9420 §12.2)`,
    );
  }
  // ExternalInit is `opaque<V>`, and so must be what is unknown, for else nobody finds its end.
  walk.opaque();
}

/** Proposals of draft-ietf-mls-extensions, of which not all are `opaque<V>`. */
const DRAFTS: Readonly<Record<number, string>> = {
  0x0008: 'AppDataUpdate',
  0x0009: 'AppEphemeral',
  0x000a: 'SelfRemove',
};

function preSharedKeyId(walk: Walk): void {
  if (walk.known(1, [1, 2], 'PSK type (RFC 9420 §8.4)') === 1) {
    walk.opaque();
  } else {
    walk.known(1, [1, 2, 3], 'PSK usage (RFC 9420 §8.4)');
    walk.opaque(); // psk_group_id
    walk.skip(8); // psk_epoch
  }
  walk.opaque(); // psk_nonce
}

function keyPackage(walk: Walk): void {
  walk.known(2, [1], 'protocol version (RFC 9420 §6)');
  walk.skip(2); // cipher_suite
  key(walk);
  walkLeaf(walk, [1]);
  extensions(walk);
  signature(walk);
}

function welcome(walk: Walk): void {
  walk.skip(2); // cipher_suite
  walk.list(COMMIT_PROPOSALS_MAX, () => {
    walk.opaque(); // new_member
    ciphertext(walk);
  });
  walk.opaque(); // encrypted_group_info
}

function groupInfo(walk: Walk): void {
  groupContext(walk);
  extensions(walk);
  walk.opaque(); // confirmation_tag
  walk.skip(4); // signer
  signature(walk);
}

function groupContext(walk: Walk): void {
  walk.known(2, [1], 'protocol version (RFC 9420 §6)');
  walk.skip(2); // cipher_suite
  walk.opaque(); // group_id
  walk.skip(8); // epoch
  walk.opaque(); // tree_hash
  walk.opaque(); // confirmed_transcript_hash
  extensions(walk);
}

function credential(walk: Walk): void {
  const type = walk.known(2, [1, 2], 'credential type (RFC 9420 §5.3)');
  if (type === 1) walk.opaque();
  else walk.list(ENTRIES_MAX, () => walk.opaque());
}

function extensions(walk: Walk): void {
  walk.list(ENTRIES_MAX, () => {
    walk.skip(2);
    walk.opaque();
  });
}

function ciphertext(walk: Walk): void {
  walk.opaque(); // kem_output
  walk.opaque(); // ciphertext
}

function key(walk: Walk): void {
  walk.opaque(KEY_BYTES_MAX);
}

function signature(walk: Walk): void {
  walk.opaque(SIGNATURE_BYTES_MAX);
}
