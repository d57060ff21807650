import { expect, test } from '@jest/globals';
import { compare, utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { EXTENSION } from './extensions.ts';
import { createPublicGroup, membersOf, treeBytes } from './public-group.ts';
import type { PublicGroup } from './public-group.ts';
import { encodeRoomState } from './room.ts';
import { templateOf } from './templates.ts';
import { decodePublicGroup, encodePublicGroup } from './stored.ts';
import {
  deliver,
  deliverProposal,
  foundGroup,
  makeCommit,
  makeExternalCommit,
  makeProposal,
  newActor,
  stateOf,
} from './testing.ts';
import type { Actor } from './testing.ts';

const STEPS = 40;
const MEMBERS_MAX = 14;

test.each([1, 2, 3, 4])(
  'after each step of a random walk (seed %i) server and members have the same context',
  async (seed) => {
    const walk = await Walk.start(seed);
    for (let step = 0; step < STEPS; step++) {
      await walk.step();
      walk.check();
    }
    expect(walk.kinds).toEqual(new Set(['add', 'remove', 'update', 'external', 'resync', 'byRef']));
  },
);

/** A group that random members change in random ways, each change passing the server. */
class Walk {
  readonly kinds = new Set<string>();
  #group: PublicGroup;
  #members: Actor[];
  #random: number;
  #names = 0;

  static async start(seed: number): Promise<Walk> {
    const founder = await newActor(nodeCrypto, 'founder');
    const group = await foundGroup(nodeCrypto, founder, utf8('walk'), [roomExtension('')]);
    return new Walk(seed, group, founder);
  }

  private constructor(seed: number, group: PublicGroup, founder: Actor) {
    this.#random = seed;
    this.#group = group;
    this.#members = [founder];
  }

  async step(): Promise<void> {
    const kinds = ['add', 'add', 'update', 'external', 'resync', 'byRef'];
    if (this.#members.length > 2) kinds.push('remove', 'remove');
    const full = this.#members.length >= MEMBERS_MAX;
    const kind = full ? 'remove' : (kinds[this.#below(kinds.length)] ?? 'add');
    this.kinds.add(kind);
    if (kind === 'external' || kind === 'resync') return this.#external(kind === 'resync');
    const by = this.#anyone();
    if (kind === 'byRef') await this.#propose(by);
    const added: Actor[] = [];
    const removed: Actor[] = [];
    const proposals: Proposal[] = [];
    const swaps = kind === 'remove' && this.#below(2) === 0;
    if (kind === 'add' || swaps) {
      for (let count = 1 + this.#below(3); count > 0; count--) added.push(await this.#newcomer());
    }
    if (kind === 'remove') {
      const others = this.#members.filter((member) => member !== by);
      removed.push(...others.slice(0, 1 + this.#below(Math.min(3, others.length - 1) + 1)));
    }
    if (kind === 'update' && this.#below(2) === 0) {
      const title = String(this.#below(1000));
      const extensions = [roomExtension(title)];
      proposals.push({
        proposalType: 'group_context_extensions',
        groupContextExtensions: { extensions },
      });
    }
    proposals.push(
      ...removed.map((actor) => ({
        proposalType: 'remove' as const,
        remove: { removed: stateOf(actor).privatePath.leafIndex },
      })),
      ...added.map(({ keyPackage }) => ({ proposalType: 'add' as const, add: { keyPackage } })),
    );
    const made = await makeCommit(by, proposals);
    const members = this.#members.filter((member) => !removed.includes(member));
    this.#group = await deliver(this.#group, made, by, { members, added });
    this.#members = [...members, ...added];
  }

  /** Some others propose: one leaves, others add. The commit that follows carries it all. */
  async #propose(by: Actor): Promise<void> {
    const others = this.#members.filter((member) => member !== by);
    const leaver = others[this.#below(others.length)];
    if (leaver === undefined) return;
    const removed = stateOf(leaver).privatePath.leafIndex;
    const tls = await makeProposal(leaver, { proposalType: 'remove', remove: { removed } });
    this.#group = await deliverProposal(this.#group, tls, leaver, this.#members);
    this.#members = this.#members.filter((member) => member !== leaver);
  }

  async #external(resync: boolean): Promise<void> {
    const actor = resync ? this.#anyone() : await this.#newcomer();
    const others = this.#members.filter((member) => member !== actor);
    const made = await makeExternalCommit(actor, this.#group, resync);
    this.#group = await deliver(this.#group, made, actor, { members: others });
    this.#members = [...others, actor];
  }

  check(): void {
    for (const member of this.#members) {
      const { groupContext, ratchetTree } = stateOf(member);
      expect(encodeGroupContext(groupContext)).toEqual(this.#group.contextTls);
      expect(compare(encodeRatchetTree(ratchetTree), treeBytes(this.#group))).toBe(0);
    }
    expect(membersOf(this.#group)).toHaveLength(this.#members.length);
    const again = createPublicGroup(
      nodeCrypto,
      this.#group.groupInfoTls,
      treeBytes(this.#group),
      Date.now(),
    );
    expect(again.contextTls).toEqual(this.#group.contextTls);
    this.#group = decodePublicGroup(nodeCrypto, encodePublicGroup(this.#group));
  }

  #anyone(): Actor {
    const member = this.#members[this.#below(this.#members.length)];
    if (member === undefined) throw new Error('a group has members');
    return member;
  }

  async #newcomer(): Promise<Actor> {
    return newActor(nodeCrypto, `member ${this.#names++}`);
  }

  /** mulberry32: small, seeded, good enough to choose steps. */
  #below(limit: number): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }
}

function roomExtension(title: string) {
  const { kind, defaultRole, roles } = templateOf('group');
  const room = { kind, defaultRole, roles, sealedTitle: utf8(title), entries: [] };
  const extensionData = encodeRoomState(room);
  return { extensionType: EXTENSION.roomState, extensionData };
}
