import { encode } from '@roost/core/tls';
import { holds, same, sameValue, vectorBytes, vectorKind } from '@roost/core/vectors';
import { webCrypto } from '@roost/crypto/web';
import type { CiphersuiteImpl } from 'ts-mls/crypto/ciphersuite.js';
import { refhash } from 'ts-mls/crypto/hash.js';
import { decryptWithLabel, encryptWithLabel } from 'ts-mls/crypto/hpke.js';
import { deriveSecret, deriveTreeSecret, expandWithLabel } from 'ts-mls/crypto/kdf.js';
import { signWithLabel, verifyWithLabel } from 'ts-mls/crypto/signature.js';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { defaultKeyRetentionConfig } from 'ts-mls/keyRetentionConfig.js';
import { initializeEpoch, mlsExporter } from 'ts-mls/keySchedule.js';
import { computePskSecret } from 'ts-mls/presharedkey.js';
import type { PreSharedKeyID } from 'ts-mls/presharedkey.js';
import { createSecretTree, deriveKey, deriveNonce, ratchetUntil } from 'ts-mls/secretTree.js';
import type { GenerationSecret } from 'ts-mls/secretTree.js';
import { expandSenderDataKey, expandSenderDataNonce } from 'ts-mls/sender.js';
import { ALGORITHMS, ciphersuiteOf } from '../src/provider.ts';
import { memberSuite, publicSuite, suiteName } from './suites.ts';

/** What only members compute: ts-mls over our provider, in both its doors. */

interface CryptoBasics {
  readonly cipher_suite: number;
  readonly ref_hash: { readonly label: string; readonly value: string; readonly out: string };
  readonly expand_with_label: {
    readonly secret: string;
    readonly label: string;
    readonly context: string;
    readonly length: number;
    readonly out: string;
  };
  readonly derive_secret: { readonly secret: string; readonly label: string; readonly out: string };
  readonly derive_tree_secret: {
    readonly secret: string;
    readonly label: string;
    readonly generation: number;
    readonly length: number;
    readonly out: string;
  };
  readonly sign_with_label: {
    readonly priv: string;
    readonly pub: string;
    readonly content: string;
    readonly label: string;
    readonly signature: string;
  };
  readonly encrypt_with_label: {
    readonly priv: string;
    readonly pub: string;
    readonly label: string;
    readonly context: string;
    readonly plaintext: string;
    readonly kem_output: string;
    readonly ciphertext: string;
  };
}

export const cryptoBasics = vectorKind<CryptoBasics>(
  'crypto-basics',
  ['ref_hash', 'derive_tree_secret', 'sign_with_label', 'encrypt_with_label'],
  async (vector) => {
    const { cipher_suite: number, sign_with_label: sign, ref_hash: ref } = vector;
    const server = publicSuite(number);
    const refInput = encode((writer) => writer.text(ref.label).opaque(vectorBytes(ref.value)));
    same('RefHash of the server', server.hash(refInput), ref.out);
    const signed = {
      publicKey: vectorBytes(sign.pub),
      label: sign.label,
      content: vectorBytes(sign.content),
    };
    const signature = vectorBytes(sign.signature);
    holds('VerifyWithLabel of the server', server.verify({ ...signed, signature }));
    const other = signature.map((byte, at) => (at === signature.length - 1 ? byte ^ 1 : byte));
    holds('its refusal', !server.verify({ ...signed, signature: other }));
    await checkBasics(await memberSuite(number), vector);
    const name = suiteName(number);
    if (ALGORITHMS.has(name)) await checkBasics(ciphersuiteOf(webCrypto, name), vector);
  },
);

async function checkBasics(suite: CiphersuiteImpl, vector: CryptoBasics): Promise<void> {
  const { hash, hpke, kdf, signature } = suite;
  const { ref_hash: ref, expand_with_label: expand, derive_secret: derive } = vector;
  same('RefHash', await refhash(ref.label, vectorBytes(ref.value), hash), ref.out);
  const [secret, context] = [vectorBytes(expand.secret), vectorBytes(expand.context)];
  const expanded = await expandWithLabel(secret, expand.label, context, expand.length, kdf);
  same('ExpandWithLabel', expanded, expand.out);
  const derived = await deriveSecret(vectorBytes(derive.secret), derive.label, kdf);
  same('DeriveSecret', derived, derive.out);
  const tree = vector.derive_tree_secret;
  const ofTree = await deriveTreeSecret(
    vectorBytes(tree.secret),
    tree.label,
    tree.generation,
    tree.length,
    kdf,
  );
  same('DeriveTreeSecret', ofTree, tree.out);

  const sign = vector.sign_with_label;
  const [key, content] = [vectorBytes(sign.pub), vectorBytes(sign.content)];
  const own = await signWithLabel(vectorBytes(sign.priv), sign.label, content, signature);
  for (const each of [vectorBytes(sign.signature), own]) {
    const isGood = await verifyWithLabel(key, sign.label, content, each, signature);
    holds('VerifyWithLabel', isGood);
  }

  const sealed = vector.encrypt_with_label;
  const privateKey = await hpke.importPrivateKey(vectorBytes(sealed.priv));
  const publicKey = await hpke.importPublicKey(vectorBytes(sealed.pub));
  const bound = [sealed.label, vectorBytes(sealed.context)] as const;
  const plaintext = vectorBytes(sealed.plaintext);
  const again = await encryptWithLabel(publicKey, ...bound, plaintext, hpke);
  const published = { enc: vectorBytes(sealed.kem_output), ct: vectorBytes(sealed.ciphertext) };
  for (const { enc, ct } of [published, again]) {
    const opened = await decryptWithLabel(privateKey, ...bound, enc, ct, hpke);
    same('DecryptWithLabel', opened, sealed.plaintext);
  }
}

interface KeySchedule {
  readonly cipher_suite: number;
  readonly group_id: string;
  readonly initial_init_secret: string;
  readonly epochs: readonly EpochKeys[];
}

interface EpochKeys {
  readonly tree_hash: string;
  readonly commit_secret: string;
  readonly psk_secret: string;
  readonly confirmed_transcript_hash: string;
  readonly group_context: string;
  readonly joiner_secret: string;
  readonly welcome_secret: string;
  readonly init_secret: string;
  readonly sender_data_secret: string;
  readonly encryption_secret: string;
  readonly exporter_secret: string;
  readonly epoch_authenticator: string;
  readonly external_secret: string;
  readonly confirmation_key: string;
  readonly membership_key: string;
  readonly resumption_psk: string;
  readonly external_pub: string;
  readonly exporter: {
    readonly label: string;
    readonly context: string;
    readonly length: number;
    readonly secret: string;
  };
}

export const keySchedule = vectorKind<KeySchedule>(
  'key-schedule',
  ['group_id', 'initial_init_secret', 'epochs'],
  async (vector) => {
    const suite = await memberSuite(vector.cipher_suite);
    let initSecret: Uint8Array = vectorBytes(vector.initial_init_secret);
    for (const [at, epoch] of vector.epochs.entries()) {
      initSecret = await checkEpoch(suite, vector.group_id, { at, initSecret, epoch });
    }
  },
);

async function checkEpoch(
  suite: CiphersuiteImpl,
  groupId: string,
  {
    at,
    initSecret,
    epoch,
  }: { readonly at: number; readonly initSecret: Uint8Array; readonly epoch: EpochKeys },
): Promise<Uint8Array> {
  const context = {
    version: 'mls10',
    cipherSuite: suite.name,
    groupId: vectorBytes(groupId),
    epoch: BigInt(at),
    treeHash: vectorBytes(epoch.tree_hash),
    confirmedTranscriptHash: vectorBytes(epoch.confirmed_transcript_hash),
    extensions: [],
  } as const;
  const tls = encodeGroupContext({ ...context, extensions: [] });
  same('group_context', tls, epoch.group_context);
  const secrets = await initializeEpoch(
    initSecret,
    vectorBytes(epoch.commit_secret),
    { ...context, extensions: [] },
    vectorBytes(epoch.psk_secret),
    suite.kdf,
  );
  const keys = secrets.keySchedule;
  same('joiner_secret', secrets.joinerSecret, epoch.joiner_secret);
  same('welcome_secret', secrets.welcomeSecret, epoch.welcome_secret);
  same('encryption_secret', secrets.encryptionSecret, epoch.encryption_secret);
  same('init_secret', keys.initSecret, epoch.init_secret);
  same('sender_data_secret', keys.senderDataSecret, epoch.sender_data_secret);
  same('exporter_secret', keys.exporterSecret, epoch.exporter_secret);
  same('epoch_authenticator', keys.epochAuthenticator, epoch.epoch_authenticator);
  same('external_secret', keys.externalSecret, epoch.external_secret);
  same('confirmation_key', keys.confirmationKey, epoch.confirmation_key);
  same('membership_key', keys.membershipKey, epoch.membership_key);
  same('resumption_psk', keys.resumptionPsk, epoch.resumption_psk);
  const external = await suite.hpke.deriveKeyPair(keys.externalSecret);
  const externalPub = await suite.hpke.exportPublicKey(external.publicKey);
  same('external_pub', externalPub, epoch.external_pub);
  const { label, context: about, length, secret } = epoch.exporter;
  const exported = await mlsExporter(keys.exporterSecret, label, vectorBytes(about), length, suite);
  same('the exported secret', exported, secret);
  return keys.initSecret;
}

interface PskSecret {
  readonly cipher_suite: number;
  readonly psks: readonly {
    readonly psk_id: string;
    readonly psk: string;
    readonly psk_nonce: string;
  }[];
  readonly psk_secret: string;
}

export const pskSecret = vectorKind<PskSecret>(
  'psk_secret',
  ['psks', 'psk_secret'],
  async ({ cipher_suite: number, psks, psk_secret: expected }) => {
    const inputs = psks.map(
      ({ psk_id: id, psk, psk_nonce: nonce }): [PreSharedKeyID, Uint8Array] => [
        { psktype: 'external', pskId: vectorBytes(id), pskNonce: vectorBytes(nonce) },
        vectorBytes(psk),
      ],
    );
    same('psk_secret', await computePskSecret(inputs, await memberSuite(number)), expected);
  },
);

interface SecretTree {
  readonly cipher_suite: number;
  readonly encryption_secret: string;
  readonly sender_data: {
    readonly sender_data_secret: string;
    readonly ciphertext: string;
    readonly key: string;
    readonly nonce: string;
  };
  /** Per leaf some of its generations; older files have one of each leaf, without a list. */
  readonly leaves: readonly (readonly Generation[] | Generation)[];
}

interface Generation {
  readonly generation: number;
  readonly handshake_key: string;
  readonly handshake_nonce: string;
  readonly application_key: string;
  readonly application_nonce: string;
}

export const secretTree = vectorKind<SecretTree>(
  'secret-tree',
  ['encryption_secret', 'sender_data', 'leaves'],
  async (vector) => {
    const suite = await memberSuite(vector.cipher_suite);
    const { sender_data_secret: secret, ciphertext, key, nonce } = vector.sender_data;
    const input = [suite, vectorBytes(secret), vectorBytes(ciphertext)] as const;
    same('sender_data_key', await expandSenderDataKey(...input), key);
    same('sender_data_nonce', await expandSenderDataNonce(...input), nonce);

    const root = vectorBytes(vector.encryption_secret);
    const tree = await createSecretTree(vector.leaves.length, root, suite.kdf);
    for (const [leaf, generations] of vector.leaves.entries()) {
      const node = tree[leaf * 2];
      if (node === undefined) throw new Error('the secret tree is too small');
      for (const each of [generations].flat()) {
        const at = `of leaf ${leaf}, generation ${each.generation}`;
        const hand = await keysAt(suite, node.handshake, each.generation);
        same(`handshake_key ${at}`, hand.key, each.handshake_key);
        same(`handshake_nonce ${at}`, hand.nonce, each.handshake_nonce);
        const application = await keysAt(suite, node.application, each.generation);
        same(`application_key ${at}`, application.key, each.application_key);
        same(`application_nonce ${at}`, application.nonce, each.application_nonce);
      }
    }
    sameValue('the number of nodes', tree.length, vector.leaves.length * 2 - 1);
  },
);

async function keysAt(suite: CiphersuiteImpl, ratchet: GenerationSecret, generation: number) {
  const [{ secret }] = await ratchetUntil(
    ratchet,
    generation,
    { ...defaultKeyRetentionConfig, maximumForwardRatchetSteps: generation },
    suite.kdf,
  );
  return {
    key: await deriveKey(secret, generation, suite),
    nonce: await deriveNonce(secret, generation, suite),
  };
}
