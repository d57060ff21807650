import { assert } from '@roost/core/assert';
import { utf8 } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { createGroup, joinGroup, makePskIndex } from 'ts-mls/clientState.js';
import type { ClientState } from 'ts-mls/clientState.js';
import {
  createCommit,
  createGroupInfoWithExternalPub,
  joinGroupExternal,
} from 'ts-mls/createCommit.js';
import { createApplicationMessage, createProposal } from 'ts-mls/createMessage.js';
import type { CiphersuiteImpl } from 'ts-mls/crypto/ciphersuite.js';
import type { Extension } from 'ts-mls/extension.js';
import { acceptAll } from 'ts-mls/incomingMessageAction.js';
import { generateKeyPackage } from 'ts-mls/keyPackage.js';
import type { KeyPackage, PrivateKeyPackage } from 'ts-mls/keyPackage.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { MlsMessageContent } from 'ts-mls/message.js';
import { processPublicMessage } from 'ts-mls/processMessages.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { decodeRatchetTree, encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { EXTENSION } from './extensions.ts';
import { parseGroupInfo, parseHandshake, parseWelcome, publicMessageOf } from './message.ts';
import { ciphersuiteOf, SUITE_1 } from './provider.ts';
import { createPublicGroup, merge, treeBytes } from './public-group.ts';
import type { PublicGroup, StagedCommit } from './public-group.ts';
import { stageCommit, stageProposal } from './stage.ts';

/** Real members of real groups, by ts-mls: what tests of servers and of this library act with. */

/** A client with one KeyPackage, and its state in the group once it is in. */
export interface Actor {
  readonly name: string;
  readonly suite: CiphersuiteImpl;
  readonly keyPackage: KeyPackage;
  readonly privateKeys: PrivateKeyPackage;
  state: ClientState | undefined;
}

/** A commit as its maker sends it to the server; nobody has applied it yet. */
export interface MadeCommit {
  readonly tls: Uint8Array;
  readonly welcome: Uint8Array | undefined;
  readonly groupInfo: Uint8Array;
  readonly state: ClientState;
}

export interface ActorOptions {
  readonly suite?: CiphersuiteImpl;
  readonly keyPackageExtensions?: Extension[];
  readonly extensionTypes?: number[];
  readonly notAfterMs?: number;
  /** The identity of the credential; the name where it is not given. */
  readonly identity?: Uint8Array;
}

/** Makes a client with a fresh KeyPackage. `now` is read from the system clock, as ts-mls does. */
export async function newActor(
  crypto: Crypto,
  name: string,
  options: ActorOptions = {},
): Promise<Actor> {
  const suite = options.suite ?? ciphersuiteOf(crypto, SUITE_1);
  const now = Date.now();
  const { publicPackage, privatePackage } = await generateKeyPackage(
    { credentialType: 'basic', identity: options.identity ?? utf8(name) },
    {
      versions: ['mls10'],
      ciphersuites: [suite.name],
      extensions: options.extensionTypes ?? [EXTENSION.roomState],
      proposals: [],
      credentials: ['basic'],
    },
    {
      notBefore: BigInt(Math.floor(now / 1000) - 60),
      notAfter: BigInt(Math.floor((options.notAfterMs ?? now + 30 * DAY_MS) / 1000)),
    },
    options.keyPackageExtensions ?? [],
    suite,
  );
  return { name, suite, keyPackage: publicPackage, privateKeys: privatePackage, state: undefined };
}

export function keyPackageTls(actor: Actor): Uint8Array {
  return message({ wireformat: 'mls_key_package', keyPackage: actor.keyPackage });
}

/** Creates a group of one; the GroupInfo and tree are what a server is given. */
export async function foundGroup(
  crypto: Crypto,
  founder: Actor,
  groupId: Uint8Array,
  extensions: Extension[] = [],
): Promise<PublicGroup> {
  const { keyPackage, privateKeys, suite } = founder;
  founder.state = await createGroup(groupId, keyPackage, privateKeys, extensions, suite);
  const groupInfo = await groupInfoOf(founder.state, suite);
  const tree = encodeRatchetTree(founder.state.ratchetTree);
  return createPublicGroup(crypto, groupInfo, tree, Date.now());
}

/** Makes a commit of these proposals and of all pending ones; does not apply it. `psk` is what all PSKs are. */
export async function makeCommit(
  actor: Actor,
  extraProposals: Proposal[] = [],
  authenticatedData: Uint8Array = new Uint8Array(0),
  psk?: Uint8Array,
): Promise<MadeCommit> {
  const { suite } = actor;
  const pskIndex = psk && { findPsk: () => psk };
  const { newState, commit, welcome } = await createCommit(
    { state: stateOf(actor), cipherSuite: suite, ...(pskIndex && { pskIndex }) },
    { wireAsPublicMessage: true, extraProposals, authenticatedData },
  );
  return {
    tls: encodeMlsMessage(commit),
    welcome: welcome && message({ wireformat: 'mls_welcome', welcome }),
    groupInfo: await groupInfoOf(newState, suite),
    state: newState,
  };
}

/** Makes an external commit from what the server serves; with `resync` it removes the own leaf. */
export async function makeExternalCommit(
  actor: Actor,
  group: PublicGroup,
  resync = false,
  authenticatedData: Uint8Array = new Uint8Array(0),
): Promise<MadeCommit> {
  const { suite, keyPackage, privateKeys } = actor;
  const tree = decodeRatchetTree(treeBytes(group), 0)?.[0];
  assert(tree !== undefined, 'the server serves a tree that decodes');
  const { publicMessage, newState } = await joinGroupExternal(
    parseGroupInfo(group.groupInfoTls),
    keyPackage,
    privateKeys,
    resync,
    suite,
    tree,
    undefined,
    authenticatedData,
  );
  return {
    tls: message({ wireformat: 'mls_public_message', publicMessage }),
    welcome: undefined,
    groupInfo: await groupInfoOf(newState, suite),
    state: newState,
  };
}

/** Makes a standalone proposal; its maker has it pending from then on. */
export async function makeProposal(actor: Actor, proposal: Proposal): Promise<Uint8Array> {
  const made = await createProposal(stateOf(actor), true, proposal, actor.suite);
  actor.state = made.newState;
  return encodeMlsMessage(made.message);
}

/** Stages a commit at the server. */
export function stage(group: PublicGroup, made: MadeCommit): StagedCommit {
  const commit = parseHandshake(made.tls);
  assert(commit.kind === 'commit', 'a made commit is one');
  const { groupInfo, welcome } = made;
  return stageCommit(group, commit, { groupInfo, welcome, now: Date.now() });
}

/** Takes a made commit through the server and to every member; new ones join by the Welcome. */
export async function deliver(
  group: PublicGroup,
  made: MadeCommit,
  by: Actor,
  actors: { readonly members: readonly Actor[]; readonly added?: readonly Actor[] },
): Promise<PublicGroup> {
  const next = merge(stage(group, made));
  for (const member of actors.members) if (member !== by) await receive(member, made.tls);
  by.state = made.state;
  for (const joiner of actors.added ?? []) await join(joiner, made, next);
  return next;
}

/** Takes a standalone proposal through the server and to every member but its maker. */
export async function deliverProposal(
  group: PublicGroup,
  tls: Uint8Array,
  by: Actor,
  members: readonly Actor[],
): Promise<PublicGroup> {
  const proposal = parseHandshake(tls);
  assert(proposal.kind === 'proposal', 'a made proposal is one');
  const next = merge(stageProposal(group, proposal, Date.now()));
  for (const member of members) if (member !== by) await receive(member, tls);
  return next;
}

/**
 * A large group in which no path encrypts to single leaves: members at 2^k places commit, so that
 * every subtree beside the founder's path has a key. Only these and the founder keep a state.
 */
export async function settledGroup(
  crypto: Crypto,
  size: number,
): Promise<{ readonly group: PublicGroup; readonly founder: Actor }> {
  const founder = await newActor(crypto, 'founder');
  const others: Actor[] = [];
  while (others.length < size - 1) others.push(await newActor(crypto, `${others.length}`));
  const places: number[] = [];
  for (let place = 1; place < size; place *= 2) places.unshift(place);
  const active = places.flatMap((place) => others[place - 1] ?? []);

  let group = await foundGroup(crypto, founder, utf8('settled'));
  const adds = others.map(({ keyPackage }): Proposal => ({
    proposalType: 'add',
    add: { keyPackage },
  }));
  const filled = await makeCommit(founder, adds);
  group = await deliver(group, filled, founder, { members: [founder], added: active });
  for (const by of [...active, founder]) {
    group = await deliver(group, await makeCommit(by), by, { members: [founder, ...active] });
  }
  return { group, founder };
}

export async function receive(actor: Actor, tls: Uint8Array): Promise<void> {
  const state = stateOf(actor);
  const handshake = publicMessageOf(parseHandshake(tls));
  const psks = makePskIndex(state, {});
  const { newState } = await processPublicMessage(state, handshake, psks, actor.suite, acceptAll);
  actor.state = newState;
}

/** Joins by a Welcome in an MLSMessage, with the tree as the server serves it. */
export async function joinByWelcome(
  actor: Actor,
  welcomeTls: Uint8Array,
  treeTls: Uint8Array,
): Promise<void> {
  const { keyPackage, privateKeys, suite } = actor;
  const tree = decodeRatchetTree(treeTls, 0)?.[0];
  const welcome = parseWelcome(welcomeTls);
  const psks = makePskIndex(undefined, {});
  actor.state = await joinGroup(welcome, keyPackage, privateKeys, psks, suite, tree);
}

/** Makes an application message of the actor's epoch. */
export async function makeApplication(actor: Actor, plaintext: Uint8Array): Promise<Uint8Array> {
  const made = await createApplicationMessage(stateOf(actor), plaintext, actor.suite);
  actor.state = made.newState;
  return message({ wireformat: 'mls_private_message', privateMessage: made.privateMessage });
}

export function stateOf(actor: Actor): ClientState {
  assert(actor.state !== undefined, 'the actor is in the group');
  return actor.state;
}

async function join(actor: Actor, made: MadeCommit, group: PublicGroup): Promise<void> {
  assert(made.welcome !== undefined, 'a commit that adds has a Welcome');
  await joinByWelcome(actor, made.welcome, treeBytes(group));
}

async function groupInfoOf(state: ClientState, suite: CiphersuiteImpl): Promise<Uint8Array> {
  const groupInfo = await createGroupInfoWithExternalPub(state, [], suite);
  return message({ wireformat: 'mls_group_info', groupInfo });
}

function message(content: MlsMessageContent): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', ...content });
}
