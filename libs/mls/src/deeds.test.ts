import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import type { Reinit } from 'ts-mls/proposal.js';
import { authorizeCommit } from './authorize-commit.ts';
import { deedsOf } from './deeds.ts';
import type { CommitParts } from './deeds.ts';
import { SUITE_1 } from './provider.ts';
import type { Actor, ResolvedProposal } from './proposals.ts';
import { foundingRoom, templateNamed } from './templates.ts';
import { newActor } from './testing.ts';
import { idOf } from './testing-vectors.ts';

const [ann, ben, cid] = [idOf('ann'), idOf('ben'), idOf('cid')];
const room = foundingRoom(templateNamed('cooperative'), ann, new Uint8Array(0));
const id = (domain: string) => utf8(`01234567-89ab-4cde-8f01-23456789abcd@${domain}`);

const parts: CommitParts = {
  groupId: id('hub.example'),
  members: new Map([
    [0, ann],
    [3, ben],
  ]),
  committer: ann,
  isExternal: false,
  proposals: [],
  added: [],
  roomBefore: room,
  roomAfter: room,
};

const committer: Actor = { kind: 'member', leafIndex: 0 };
const inline = (proposal: ResolvedProposal['proposal']): ResolvedProposal => ({
  proposal,
  actor: committer,
  ref: undefined,
});
const remove = (removed: number) => ({ proposalType: 'remove' as const, remove: { removed } });
const sent = (actor: Actor, removed: number): ResolvedProposal => ({
  proposal: remove(removed),
  actor,
  ref: utf8('ref'),
});

test('each proposal is told with who wants it, and how it came', async () => {
  const { keyPackage } = await newActor(nodeCrypto, 'cid');
  const proposals: ResolvedProposal[] = [
    inline({ proposalType: 'add', add: { keyPackage } }),
    inline(remove(1)),
    sent({ kind: 'member', leafIndex: 3 }, 3),
    sent({ kind: 'external', senderIndex: 0 }, 2),
    inline({
      proposalType: 'group_context_extensions',
      groupContextExtensions: { extensions: [] },
    }),
  ];
  const own = { who: ann, form: 'inline' };
  expect(deedsOf({ ...parts, proposals, added: [cid] })).toMatchObject({
    added: [{ participant: cid, by: own }],
    removed: [
      { leafIndex: 1, by: own },
      { leafIndex: 3, by: { who: ben, form: 'by-reference' } },
      { leafIndex: 2, by: { who: 'hub', form: 'external' } },
    ],
    roomBy: own,
    others: [],
  });
});

test('an external commit comes from outside, and its ExternalInit is no deed of its own', () => {
  const proposals = [
    inline({ proposalType: 'external_init', externalInit: { kemOutput: utf8('kem') } }),
    inline(remove(3)),
  ];
  const deeds = deedsOf({ ...parts, committer: ben, isExternal: true, proposals });
  expect(deeds.removed).toEqual([{ leafIndex: 3, by: { who: ben, form: 'external' } }]);
  expect(deeds.others).toEqual([]);
  expect(authorizeCommit(deeds).place.participants).toEqual([ann, ben]);
});

test('whoever proposes itself as a member is nobody', () => {
  const proposals = [sent({ kind: 'newcomer' }, 3)];
  const deeds = deedsOf({ ...parts, proposals });
  expect(deeds.removed).toEqual([{ leafIndex: 3, by: { who: '', form: 'external' } }]);
  expect(() => authorizeCommit(deeds)).toThrow('outside');
});

test.each([
  ['a group of the same hub', id('hub.example'), true],
  ['a group of another hub', id('other.example'), false],
  ['something that is no group id', utf8('hub.example'), false],
  ['bytes that are no text', Uint8Array.of(0xff, 0xfe), false],
])('a ReInit is for %s', (_, groupId, isSameHub) => {
  const reinit: Reinit = { groupId, version: 'mls10', cipherSuite: SUITE_1, extensions: [] };
  const { others } = deedsOf({ ...parts, proposals: [inline({ proposalType: 'reinit', reinit })] });
  expect(others.map(({ step }) => step)).toEqual([{ kind: 'reinit', isSameHub }]);
});

test('a ReInit that is allowed freezes the group', () => {
  const roles = room.roles.map((each) => ({
    ...each,
    capabilities: [...each.capabilities, 'canSendMLSReinitProposal' as const],
  }));
  const allowing = { ...room, roles };
  const groupId = id('hub.example');
  const reinit: Reinit = { groupId, version: 'mls10', cipherSuite: SUITE_1, extensions: [] };
  const proposals = [inline({ proposalType: 'reinit', reinit })];
  const deeds = deedsOf({ ...parts, proposals, roomBefore: allowing, roomAfter: allowing });
  expect(authorizeCommit(deeds).isFrozen).toBe(true);
  expect(authorizeCommit(deedsOf(parts)).isFrozen).toBe(false);
});
