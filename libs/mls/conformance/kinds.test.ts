import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { kindOf } from '@roost/core/vectors';
import { nodeCrypto } from '@roost/crypto/node';
import { createGroup, emptyPskIndex } from 'ts-mls';
import type { ClientState } from 'ts-mls/clientState.js';
import { createCommit } from 'ts-mls/createCommit.js';
import { createProposal } from 'ts-mls/createMessage.js';
import { acceptAll } from 'ts-mls/incomingMessageAction.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { MlsPrivateMessage, MlsPublicMessage, MLSMessage } from 'ts-mls/message.js';
import { processMessage } from 'ts-mls/processMessages.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { joinGroup } from 'ts-mls/clientState.js';
import { keyPackageTls, newActor } from '../src/testing.ts';
import type { Actor } from '../src/testing.ts';
import { mlsKinds } from './kinds.ts';
import { passiveClient } from './passive-client.ts';
import { welcome as welcomeKind } from './welcome.ts';

const FILES = [
  'key-schedule',
  'psk_secret',
  'secret-tree',
  'transcript-hashes',
  'tree-math',
  'tree-operations',
  'tree-validation',
];

const read = (name: string): object[] =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));

test.each(FILES)('the published vectors of %s come out', async (name) => {
  const entries = read(name);
  expect(entries).not.toHaveLength(0);
  for (const entry of entries) {
    const kind = kindOf(mlsKinds, entry);
    expect(kind?.name).toBe(name);
    await kind?.check(entry);
  }
});

test.each(FILES)(
  'a vector of %s in which one digit was changed does not come out',
  async (name) => {
    const entry = read(name).at(-1) ?? {};
    const changed = JSON.parse(changeLast(JSON.stringify(entry)));
    expect(changed).not.toEqual(entry);
    await expect(async () => kindOf(mlsKinds, changed)?.check(changed)).rejects.toThrow();
  },
);

/** Changes a digit of the last value: what vectors expect stands behind what they start from. */
function changeLast(json: string): string {
  const at = Math.max(
    ...[...json.matchAll(/[0-9a-f](?=["\],}]*$|"[,}])/gi)].map(({ index }) => index),
  );
  return `${json.slice(0, at)}${json[at] === '1' ? '2' : '1'}${json.slice(at + 1)}`;
}

/** Two members who talk in private, and the vector of a third who listens. */
class Conversation {
  readonly #suite: Actor['suite'];
  readonly #joiner: Actor;
  readonly #epochs: { proposals: string[]; commit: string; epoch_authenticator: string }[] = [];
  #states: readonly [ClientState, ClientState];
  readonly #welcome: string;
  readonly #initial: string;
  #proposals: string[] = [];

  private constructor(
    joiner: Actor,
    states: readonly [ClientState, ClientState],
    welcomeTls: Uint8Array,
  ) {
    this.#suite = joiner.suite;
    this.#joiner = joiner;
    this.#states = states;
    this.#welcome = toHex(welcomeTls);
    this.#initial = this.#authenticator();
  }

  static async start(): Promise<Conversation> {
    const [ada, bob, eve] = await Promise.all(
      ['ada', 'bob', 'eve'].map((name) => newActor(nodeCrypto, name)),
    );
    if (ada === undefined || bob === undefined || eve === undefined) throw new Error('three');
    const founded = await createGroup(
      utf8('group'),
      ada.keyPackage,
      ada.privateKeys,
      [],
      ada.suite,
    );
    const extraProposals = [bob, eve].map(({ keyPackage }): Proposal => ({
      proposalType: 'add',
      add: { keyPackage },
    }));
    const made = await createCommit(
      { state: founded, cipherSuite: ada.suite },
      { extraProposals, ratchetTreeExtension: true },
    );
    if (made.welcome === undefined) throw new Error('a commit of adds has a Welcome');
    const { welcome } = made;
    const second = await joinGroup(
      welcome,
      bob.keyPackage,
      bob.privateKeys,
      emptyPskIndex,
      bob.suite,
    );
    const tls = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome });
    return new Conversation(eve, [made.newState, second], tls);
  }

  #authenticator(): string {
    return toHex(this.#states[0].keySchedule.epochAuthenticator);
  }

  /** The second member proposes something. */
  async propose(isPublic: boolean, proposal: Proposal): Promise<void> {
    const [ada, bob] = this.#states;
    const { message, newState } = await createProposal(bob, isPublic, proposal, this.#suite);
    this.#states = [await this.#heard(ada, message), newState];
    this.#proposals.push(toHex(encodeMlsMessage(message)));
  }

  /** The first member commits all of it. */
  async commit(isPublic: boolean): Promise<void> {
    const [ada, bob] = this.#states;
    const made = await createCommit(
      { state: ada, cipherSuite: this.#suite },
      { wireAsPublicMessage: isPublic },
    );
    this.#states = [made.newState, await this.#heard(bob, made.commit)];
    this.#epochs.push({
      proposals: this.#proposals,
      commit: toHex(encodeMlsMessage(made.commit)),
      epoch_authenticator: this.#authenticator(),
    });
    this.#proposals = [];
  }

  async #heard(state: ClientState, message: MLSMessage): Promise<ClientState> {
    const heard = message as MLSMessage & (MlsPrivateMessage | MlsPublicMessage);
    const { newState } = await processMessage(heard, state, emptyPskIndex, acceptAll, this.#suite);
    return newState;
  }

  get vector() {
    const { privateKeys } = this.#joiner;
    return {
      cipher_suite: 1,
      external_psks: [],
      key_package: toHex(keyPackageTls(this.#joiner)),
      signature_priv: toHex(privateKeys.signaturePrivateKey),
      encryption_priv: toHex(privateKeys.hpkePrivateKey),
      init_priv: toHex(privateKeys.initPrivateKey),
      welcome: this.#welcome,
      ratchet_tree: null,
      initial_epoch_authenticator: this.#initial,
      epochs: this.#epochs,
    };
  }

  /** The first leaf signs the Welcome's GroupInfo. */
  get signerKey(): string {
    const leaf = this.#states[0].ratchetTree[0];
    return leaf?.nodeType === 'leaf' ? toHex(leaf.leaf.signaturePublicKey) : '';
  }
}

const context: Proposal = {
  proposalType: 'group_context_extensions',
  groupContextExtensions: { extensions: [] },
};

test('a passive client is followed through private and public messages', async () => {
  const conversation = await Conversation.start();
  await conversation.commit(false);
  await conversation.propose(false, context);
  await conversation.commit(false);
  await conversation.propose(true, context);
  await conversation.commit(true);
  const { vector } = conversation;

  expect(kindOf(mlsKinds, vector)).toBe(passiveClient);
  await passiveClient.check(vector);

  const [first, ...others] = vector.epochs;
  const missing = { ...vector, epochs: others };
  await expect(async () => passiveClient.check(missing)).rejects.toThrow('does not open');
  const wrong = [{ ...first, epoch_authenticator: vector.initial_epoch_authenticator }, ...others];
  await expect(async () => passiveClient.check({ ...vector, epochs: wrong })).rejects.toThrow(
    'epoch_authenticator is',
  );
});

test('a Welcome opens for its joiner, and is signed by whom the vector says', async () => {
  const conversation = await Conversation.start();
  const { cipher_suite, init_priv, key_package, welcome } = conversation.vector;
  const vector = {
    cipher_suite,
    init_priv,
    key_package,
    welcome,
    signer_pub: conversation.signerKey,
  };
  expect(kindOf(mlsKinds, vector)).toBe(welcomeKind);
  await welcomeKind.check(vector);

  const stranger = await newActor(nodeCrypto, 'stranger');
  const signer_pub = toHex(stranger.keyPackage.leafNode.signaturePublicKey);
  await expect(async () => welcomeKind.check({ ...vector, signer_pub })).rejects.toThrow(
    'the signature of the GroupInfo does not hold',
  );
  const other = toHex(keyPackageTls(stranger));
  await expect(async () => welcomeKind.check({ ...vector, key_package: other })).rejects.toThrow();
});
