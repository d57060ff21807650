import { assert } from '@roost/core/assert';
import { compare, utf8 } from '@roost/core/bytes';
import type { Crypto } from '@roost/crypto/crypto';
import { createCommit, createGroupInfoWithExternalPub } from 'ts-mls/createCommit.js';
import { makePskIndex } from 'ts-mls/clientState.js';
import { encodeExternalSenders } from 'ts-mls/externalSender.js';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { encodeMlsMessage } from 'ts-mls/message.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { createPublicGroup, membersOf, treeBytes } from './public-group.ts';
import type { PublicGroup } from './public-group.ts';
import { decodePublicGroup, encodePublicGroup } from './stored.ts';
import { forgeProposal } from './testing-forge.ts';
import { addOf, contextOf, removeOf, roomExtension } from './testing-scene.ts';
import {
  deliver,
  deliverProposal,
  foundGroup,
  makeExternalCommit,
  makeProposal,
  newActor,
  stateOf,
} from './testing.ts';
import type { Actor, MadeCommit } from './testing.ts';

const MEMBERS_MAX = 12;
const KINDS = ['add', 'remove', 'update', 'context', 'psk', 'external', 'resync'] as const;
const PROPOSED = ['add', 'remove', 'leave', 'context', 'psk', 'hub'] as const;

/** What waits for a commit, by what it does. */
interface Waiting {
  readonly added: Actor[];
  readonly removed: Set<Actor>;
  readonly once: Set<'context' | 'psk'>;
}

interface Beginning {
  readonly crypto: Crypto;
  readonly hub: Actor;
  readonly group: PublicGroup;
  readonly founder: Actor;
}

/**
 * A group that random members change in random ways, each change passing the server; the choices
 * follow from the seed, the keys do not. After each step server and members have to agree, and the
 * server goes on from what it stored. Updates by reference are missing: ts-mls's members cannot make
 * them.
 */
export class Walk {
  /** How often what was done. */
  readonly kinds = new Map<string, number>();
  readonly #crypto: Crypto;
  readonly #hub: Actor;
  #group: PublicGroup;
  #members: Actor[];
  #waiting: Waiting = nothing();
  #random: number;
  #names = 0;

  static async start(crypto: Crypto, seed: number): Promise<Walk> {
    const founder = await newActor(crypto, 'founder');
    const hub = await newActor(crypto, 'hub');
    const extensions = extensionsOf(hub, 'a walk');
    const group = await foundGroup(crypto, founder, utf8('walk'), extensions);
    return new Walk(seed, { crypto, hub, group, founder });
  }

  private constructor(seed: number, { crypto, hub, group, founder }: Beginning) {
    // Seeds beside each other shall not begin alike.
    this.#random = Math.imul(seed + 1, 0x9e3779b1);
    this.#crypto = crypto;
    this.#hub = hub;
    this.#group = group;
    this.#members = [founder];
  }

  get epoch(): bigint {
    return this.#group.context.epoch;
  }

  /** Walks on by so many epochs and gives their number; throws where somebody disagrees. */
  async run(epochs: number): Promise<number> {
    for (let count = 0; count < epochs; count++) {
      for (let proposals = this.#below(4); proposals > 1; proposals--) {
        await this.#propose();
        this.#check();
      }
      await this.#advance();
      this.#check();
    }
    return epochs;
  }

  async #advance(): Promise<void> {
    const free = this.#members.filter((member) => !this.#waiting.removed.has(member));
    const [kind, by] = [this.#any(KINDS), this.#any(free)];
    if (kind === 'external' || kind === 'resync') return await this.#joinAnew(kind);
    const { added, removed } = this.#waiting;
    const more: Proposal[] = [];
    if (kind === 'add' && this.#members.length < MEMBERS_MAX && !this.#waiting.once.has('psk')) {
      for (let count = 1 + this.#below(3); count > 0; count--) added.push(await this.#newcomer());
      more.push(
        ...added
          .slice(-3)
          .filter((each) => !this.#isProposed(each))
          .map(addOf),
      );
    }
    if (kind === 'remove') {
      const others = free.filter((member) => member !== by);
      const gone = others.slice(0, this.#below(Math.min(3, others.length) + 1));
      more.push(...gone.map(leafOf).map(removeOf));
      for (const each of gone) removed.add(each);
    }
    // Who joins by this commit could not know a secret of the epoch before.
    if (kind === 'psk' && added.length === 0) more.push(...this.#once('psk'));
    if (kind === 'context') more.push(...this.#once('context'));
    await this.#commit(by, more);
    this.#count(`${kind} inline`);
  }

  async #commit(by: Actor, more: readonly Proposal[]): Promise<void> {
    const { added, removed } = this.#waiting;
    const made = await commitOf(by, more);
    const members = this.#members.filter((member) => !removed.has(member));
    this.#group = await deliver(this.#group, made, by, { members, added });
    this.#members = [...members, ...added];
    this.#waiting = nothing();
  }

  /** Whoever comes in by an external commit, or comes back: what waited is over with the epoch. */
  async #joinAnew(kind: 'external' | 'resync'): Promise<void> {
    const isFull = this.#members.length >= MEMBERS_MAX;
    const isBack = kind === 'resync' || isFull;
    const actor = isBack ? this.#any(this.#members) : await this.#newcomer();
    const others = this.#members.filter((member) => member !== actor);
    const made = await makeExternalCommit(actor, this.#group, isBack);
    this.#group = await deliver(this.#group, made, actor, { members: others });
    this.#members = [...others, actor];
    this.#waiting = nothing();
    this.#count(isBack ? 'resync' : 'external');
  }

  async #propose(): Promise<void> {
    const { added, removed } = this.#waiting;
    const free = this.#members.filter((member) => !removed.has(member));
    if (free.length < 3) return;
    const [by, other] = [this.#any(free.slice(1)), this.#any(free.slice(1))];
    const kind = this.#any(PROPOSED);
    if (kind === 'hub') return await this.#proposeAsHub(other);
    const [proposal] =
      kind === 'remove' || kind === 'leave'
        ? [removeOf(leafOf(kind === 'leave' ? by : other))]
        : kind === 'add'
          ? this.#waiting.once.has('psk') || this.#members.length >= MEMBERS_MAX
            ? []
            : [addOf(added[added.push(await this.#newcomer()) - 1] ?? by)]
          : kind === 'psk' && added.length > 0
            ? []
            : this.#once(kind);
    if (proposal === undefined) return;
    if (proposal.proposalType === 'remove') removed.add(kind === 'leave' ? by : other);
    const tls = await makeProposal(by, proposal);
    this.#group = await deliverProposal(this.#group, tls, by, this.#members);
    this.#count(`${kind} by reference`);
  }

  async #proposeAsHub(other: Actor): Promise<void> {
    const sender = { senderType: 'external', senderIndex: 0 } as const;
    const tls = await forgeProposal(this.#hub, this.#group, sender, removeOf(leafOf(other)));
    this.#group = await deliverProposal(this.#group, tls, this.#hub, this.#members);
    this.#waiting.removed.add(other);
    this.#count('remove by the hub');
  }

  /** A change that a commit has once at most. */
  #once(kind: 'context' | 'psk'): Proposal[] {
    if (this.#waiting.once.has(kind)) return [];
    this.#waiting.once.add(kind);
    if (kind === 'context') {
      return [contextOf(...extensionsOf(this.#hub, String(this.#below(1_000))))];
    }
    const { groupId: pskGroupId, epoch: pskEpoch } = this.#group.context;
    const info = { psktype: 'resumption', usage: 'application', pskGroupId, pskEpoch } as const;
    const preSharedKeyId = { ...info, pskNonce: this.#crypto.random(32) };
    return [{ proposalType: 'psk', psk: { preSharedKeyId } }];
  }

  #check(): void {
    const group = this.#group;
    const tree = treeBytes(group);
    const waiting = [...group.proposals.values()]
      .map(({ ref }) => btoa(String.fromCharCode(...ref)))
      .toSorted();
    for (const { name, state } of this.#members.map((each) => ({
      ...each,
      state: stateOf(each),
    }))) {
      const { groupContext, ratchetTree, unappliedProposals } = state;
      const context = encodeGroupContext(groupContext);
      assert(compare(context, group.contextTls) === 0, `${name} has the server's context`);
      assert(compare(encodeRatchetTree(ratchetTree), tree) === 0, `${name} has the server's tree`);
      const known = Object.keys(unappliedProposals).toSorted().join();
      assert(known === waiting.join(), `${name} has the proposals that wait`);
    }
    assert(membersOf(group).length === this.#members.length, 'the server has all members');
    const opened = createPublicGroup(this.#crypto, group.groupInfoTls, tree, Date.now());
    const hash = group.tree.rootHash();
    assert(
      compare(opened.tree.rootHash(), hash) === 0,
      'the tree hash kept along is that of the tree',
    );
    assert(compare(group.context.treeHash, hash) === 0, 'and that of the context');
    this.#group = decodePublicGroup(this.#crypto, encodePublicGroup(group));
  }

  #isProposed({ keyPackage }: Actor): boolean {
    return [...this.#group.proposals.values()].some(
      ({ message: { proposal } }) =>
        proposal.proposalType === 'add' &&
        compare(proposal.add.keyPackage.initKey, keyPackage.initKey) === 0,
    );
  }

  #count(kind: string): void {
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
  }

  #any<T>(list: readonly T[]): T {
    const one = list[this.#below(list.length)];
    assert(one !== undefined, 'there is something to choose from');
    return one;
  }

  async #newcomer(): Promise<Actor> {
    return await newActor(this.#crypto, `member ${this.#names++}`);
  }

  /** mulberry32: small, seeded, good enough to choose steps. */
  #below(limit: number): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }
}

function nothing(): Waiting {
  return { added: [], removed: new Set(), once: new Set() };
}

function leafOf(actor: Actor): number {
  return stateOf(actor).privatePath.leafIndex;
}

function extensionsOf(hub: Actor, title: string) {
  const extensionData = encodeExternalSenders([hub.keyPackage.leafNode]);
  return [roomExtension(title), { extensionType: 'external_senders' as const, extensionData }];
}

/** As `makeCommit`, with the secrets of this group's own epochs at hand. */
async function commitOf(by: Actor, proposals: readonly Proposal[]): Promise<MadeCommit> {
  const { suite } = by;
  const state = stateOf(by);
  const { newState, commit, welcome } = await createCommit(
    { state, cipherSuite: suite, pskIndex: makePskIndex(state, {}) },
    { wireAsPublicMessage: true, extraProposals: [...proposals] },
  );
  const groupInfo = await createGroupInfoWithExternalPub(newState, [], suite);
  const version = 'mls10';
  return {
    tls: encodeMlsMessage(commit),
    welcome: welcome && encodeMlsMessage({ version, wireformat: 'mls_welcome', welcome }),
    groupInfo: encodeMlsMessage({ version, wireformat: 'mls_group_info', groupInfo }),
    state: newState,
  };
}
