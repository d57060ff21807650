import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { encodeGroupEvent } from '@roost/bus/group-event';
import type { Core } from '@roost/client/core';
import { readClaimed } from '@roost/client/key-packages';
import { Ledger } from '@roost/client/ledger';
import { declare, type DeclaredLeaf } from '@roost/client/links';
import type { Proposal } from '@roost/client/mls';
import { newsShelves } from '@roost/client/news';
import { NodeStore } from '@roost/client/node/store';
import { receive } from '@roost/client/rooms';
import { Running } from '@roost/client/running';
import { type Group, groups, packages, stateShelves, states } from '@roost/client/state';
import { tasks } from '@roost/client/task';
import { roomOf, withRoom } from '@roost/client/titles';
import { walletShelves } from '@roost/client/wallet';
import { printId } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { befriend, Person } from '@roost/e2e/person';
import { AllInOne } from '@roost/e2e/all-in-one';
import { encodeCommitAad } from '@roost/identity/leaf';
import { makeHubProposal } from '@roost/mls/hub';
import { defineRole } from '@roost/mls/policy';
import { type RoomState, withoutParticipants, withRole } from '@roost/mls/room';
import { connectTo } from '@roost/e2e/door';

type Extension = ReturnType<typeof withRoom>[number];

const folder = mkdtempSync(join(tmpdir(), 'roost-odds-'));
let world: AllInOne;
/** Its operator wants another policy for groups. */
let tended: AllInOne;

beforeAll(async () => {
  world = await AllInOne.open();
  tended = await AllInOne.open({ roomPolicies: { group: 'moderated' } });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await tended[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function come(name: string, { door } = world): Promise<Person> {
  return Person.come(name, { ...door, folder });
}

/** What a client that is not running has and can do: to forge what it would not. */
async function backstage<T>(name: string, part: (core: Core) => Promise<T>): Promise<T> {
  using store = NodeStore.open(join(folder, name));
  using channel = connectTo(world.door);
  const shelves = [...stateShelves, ...walletShelves, ...newsShelves, tasks];
  const ledger = await Ledger.open(store, shelves);
  const running = new Running(ledger, { transport: channel, crypto });
  try {
    return await part(running.core);
  } finally {
    await running.close();
  }
}

interface Forgery {
  readonly proposals: Proposal[];
  readonly declared: DeclaredLeaf[];
}

/** A commit of a member that the hub is said to have accepted: it is told to another one. */
async function forge(
  [by, to]: readonly [string, string],
  chat: string,
  forgery: (core: Core, group: Group, room: RoomState) => Forgery,
): Promise<void> {
  const event = await backstage(by, async (core) => {
    const [group, state] = [core.ledger.get(groups, chat), core.ledger.get(states, chat)];
    if (group === undefined || state === undefined) throw new Error('not in the chat');
    const { proposals, declared } = forgery(core, group, roomOf(state));
    const made = await core.mls.commit(state, proposals, encodeCommitAad({ added: declared }));
    return encodeGroupEvent({
      kind: 'commit',
      groupId: group.id,
      epoch: state.groupContext.epoch,
      acceptedAtMs: BigInt(Date.now()),
      mlsMessage: made.commit,
    });
  });
  await tell(to, event);
}

function contextOf(extensions: Extension[]): Proposal {
  return { proposalType: 'group_context_extensions', groupContextExtensions: { extensions } };
}

async function tell(to: string, event: Uint8Array): Promise<void> {
  await backstage(to, (core) => core.ledger.turn((turn) => receive(core, turn, event)));
}

test('what a hub lets pass against the rules of a room is not taken by its members', async () => {
  const chats: string[] = [];
  {
    await using abby = await come('abby');
    await using bart = await come('bart');
    await using cleo = await come('cleo');
    chats.push(await befriend(abby, bart));
    await Promise.all([befriend(bart, cleo), befriend(abby, cleo)]);
    const strict = await bart.client.createGroup('Strict', ['abby', 'cleo'], 'strict');
    const three = await bart.client.rooms.createGroupDm(['abby', 'cleo']);
    const here = (chat: string) => (event: { readonly chat: string }) => event.chat === chat;
    for (const chat of [strict, three]) {
      await Promise.all([abby.until('joined', here(chat)), cleo.until('joined', here(chat))]);
    }
    chats.push(strict, three);
  }
  const [dm = '', strict = '', three = ''] = chats;
  const claimed = await backstage('cleo', async (core) => {
    const [, one] = core.ledger.list(packages).find(([, { isLastResort }]) => !isLastResort) ?? [];
    const [, chat] = core.ledger.list(groups)[0] ?? [];
    if (one === undefined || chat === undefined) throw new Error('no package');
    const user = chat.members.find(({ identity }) => identity?.userName === 'cleo@home.example');
    return { ...one, user: user?.identity?.user };
  });

  // CHAT-6: a third one in a conversation between two.
  await forge(['abby', 'bart'], dm, (core, group) => {
    const { keyPackage, signatureKey } = readClaimed(core, claimed.keyPackage);
    if (claimed.user === undefined) throw new Error('no user');
    const leaf = { leafKey: signatureKey, linkKey: claimed.leaf.linkKey, user: claimed.user };
    const proposals: Proposal[] = [{ proposalType: 'add', add: { keyPackage } }];
    return { proposals, declared: [declare(core, group.keys, leaf)] };
  });
  // MGMT-6: somebody makes herself an owner.
  await forge(['abby', 'bart'], strict, (core, group, room) => {
    const state = core.ledger.get(states, printId(group.id));
    const own = group.members.find(({ identity }) => identity?.userName === 'abby@home.example');
    if (state === undefined || own === undefined) throw new Error('not in the chat');
    const next = withRole(room, own.participant, 'owner');
    const proposals = [contextOf(withRoom(state.groupContext.extensions, next))];
    return { proposals, declared: [] };
  });
  // CHAT-10: from a conversation of three nobody is removed.
  await forge(['abby', 'bart'], three, (core, group, room) => {
    const state = core.ledger.get(states, printId(group.id));
    const cleo = group.members.find(({ identity }) => identity?.userName === 'cleo@home.example');
    if (state === undefined || cleo === undefined) throw new Error('not in the chat');
    const next = withoutParticipants(room, [cleo.participant]);
    const proposals: Proposal[] = [
      { proposalType: 'remove', remove: { removed: cleo.leafIndex } },
      contextOf(withRoom(state.groupContext.extensions, next)),
    ];
    return { proposals, declared: [] };
  });

  await using bart = await come('bart');
  const sentences = chats.map(async (chat) => {
    return (await bart.until('at-odds', (event) => event.chat === chat)).sentence;
  });
  expect(await Promise.all(sentences)).toEqual([
    'nobody is added to a conversation between two; make a group instead',
    expect.stringContaining('your role in this room does not let you'),
    expect.stringContaining('your role in this room does not let you remove'),
  ]);
  for (const [chat, members] of [
    [dm, 2],
    [strict, 3],
    [three, 3],
  ] as const) {
    expect(bart.client.members(chat)).toHaveLength(members);
    const { sent } = await bart.client.send(chat, 'into the dark');
    await expect(sent).rejects.toThrow('against its rules');
  }
  expect(bart.client.members(strict).filter(({ isOwner }) => isOwner)).toHaveLength(1);
  await bart.client.leave(strict);
  expect(bart.client.chats().map(({ id }) => id)).not.toContain(strict);
});

test('a policy of the hub is taken where it is within a template, and never otherwise', async () => {
  let chat = '';
  {
    await using dean = await come('dean', tended);
    await using edda = await come('edda', tended);
    await befriend(dean, edda);
    chat = await dean.client.createGroup('Tended', ['edda']);
    await edda.until('joined');
    // The operator wants `moderated`: it is proposed at the next chance, and committed.
    await dean.client.send(chat, 'one');
    await edda.until('policy');
    await dean.until('policy');
    await expect(edda.client.add(chat, ['dean'])).rejects.toThrow('does not let you add');
  }
  const event = await backstage('dean', async (core) => {
    const [group, state] = [core.ledger.get(groups, chat), core.ledger.get(states, chat)];
    if (group === undefined || state === undefined) throw new Error('not in the chat');
    const room = roomOf(state);
    const roles = room.roles.map((each) =>
      each.role === 'ordinary'
        ? defineRole('ordinary', { capabilities: [...each.capabilities, 'canUsePsk'] })
        : each,
    );
    const extensions = withRoom(state.groupContext.extensions, { ...room, roles });
    const { groupId, epoch } = state.groupContext;
    const mlsMessage = makeHubProposal(
      crypto,
      tended.secret('hub'),
      { groupId, epoch },
      contextOf(extensions),
    );
    const acceptedAtMs = BigInt(Date.now());
    return encodeGroupEvent({
      kind: 'proposal',
      groupId: group.id,
      epoch,
      acceptedAtMs,
      mlsMessage,
    });
  });
  await tell('dean', event);

  await using dean = await come('dean', tended);
  await using edda = await come('edda', tended);
  await dean.until('policy-refused');
  const { sent } = await dean.client.send(chat, 'we go on');
  await sent;
  await edda.hears('we go on');
  expect([...dean.events, ...edda.events].filter(({ kind }) => kind === 'policy')).toEqual([]);
});
