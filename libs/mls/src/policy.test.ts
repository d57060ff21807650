import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { decodePolicy, defineRole, encodePolicy } from './policy.ts';
import type { RoleDefinition } from './policy.ts';
import { CAPABILITIES } from './roles.ts';
import type { Role, RoomKind } from './roles.ts';
import { TEMPLATES, templateNamed } from './templates.ts';

const group = templateNamed('cooperative').roles;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test.each([...TEMPLATES.values()])(
  'the policy of $name is the same after it was read',
  (template) => {
    const { kind, defaultRole, roles } = template;
    expect(decodePolicy(encodePolicy(roles), kind, defaultRole)).toEqual(roles);
  },
);

test('the bytes of a role are these', () => {
  const role = defineRole('moderator', {
    capabilities: ['canKick', 'canAddParticipant', 'canUsePsk'],
    min: 1,
    max: 3,
    maxActive: 2,
    changes: { ordinary: ['visitor', 'none'] },
  });
  const name = Buffer.from('moderator').toString('hex');
  const capabilities = '060000000cf001';
  // min, max, max_active; one change with two targets.
  const limits = '0000000101000000030100000002';
  const changes = '0402020006';
  const tls = `0309${name}${capabilities}${limits}${changes}`;
  expect(hex(encodePolicy([role]))).toBe((tls.length / 2).toString(16).padStart(2, '0') + tls);
});

test('the registry has the 59 living values of MIMI, and one of ours', () => {
  const numbers = Object.values(CAPABILITIES);
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(numbers.filter((number) => number < 0xf000)).toHaveLength(59);
  expect(numbers.filter((number) => number >= 0xf000)).toEqual([0xf001]);
});

/** A policy with one role otherwise, added, or gone. */
const but = (role: Role, change: Partial<RoleDefinition>, roles = group): RoleDefinition[] =>
  roles.map((each) => (each.role === role ? { ...each, ...change } : each));
const lacking = (role: Role, roles = group) => roles.filter((each) => each.role !== role);
const dm = templateNamed('dm').roles;
const groupDm = templateNamed('group_dm').roles;
const open = templateNamed('public').roles;

const malformed: [string, readonly RoleDefinition[], string, RoomKind?, Role?][] = [
  ['roles that are not sorted', group.toReversed(), 'not sorted'],
  ['a role twice', [...group.slice(0, 2), ...group.slice(1)], 'twice'],
  ['no strangers', lacking('none'), 'none is missing'],
  ['no hub', lacking('policy_enforcer'), 'policy_enforcer is missing'],
  ['no owner', lacking('owner'), 'owner is missing'],
  ['no default role', lacking('ordinary'), 'ordinary is missing'],
  ['a default role that is one of power', group, 'by default', 'group', 'owner'],
  ['the departed in a group', [...group, defineRole('departed', { maxActive: 0 })], 'departed'],
  ['no departed in a group dm', lacking('departed', groupDm), 'departed', 'group_dm'],
  ['no owner needed', but('owner', { min: 0 }), 'no owner left'],
  ['no place for an owner', but('owner', { max: 0 }, dm), 'no place', 'dm'],
  ['banned by another name', but('banned', { name: 'outcast' }), 'that is another'],
  ['the hub by another name', but('policy_enforcer', { name: 'server' }), 'that is another'],
  ['a role that is named banned', but('visitor', { name: 'banned' }), 'that is another'],
  ['a name twice', but('visitor', { name: 'ordinary' }), 'twice'],
  ['a role without a name', but('visitor', { name: '' }), '1 to 64 bytes'],
  [
    'capabilities not sorted',
    but('visitor', { capabilities: ['canRemoveSelf', 'canAddOwnClient'] }),
    'not sorted',
  ],
  [
    'a capability twice',
    but('visitor', { capabilities: ['canRemoveSelf', 'canRemoveSelf'] }),
    'twice',
  ],
  ['a minimum above the maximum', but('owner', { min: 3, max: 2 }), 'a limit'],
  ['more active than there may be', but('admin', { max: 1, maxActive: 2 }), 'a limit'],
  ['a minimum above the active maximum', but('owner', { min: 3, maxActive: 2 }), 'a minimum'],
  ['a minimum of banned', but('banned', { min: 1, maxActive: undefined }), 'nobody present'],
  ['banned who are present', but('banned', { maxActive: 1 }), 'active participants'],
  [
    'a role of the living that nobody may hold',
    but('visitor', { maxActive: 0 }),
    'active participants',
  ],
  [
    'changes not sorted',
    but('admin', {
      changes: [
        { from: 'visitor', to: ['none'] },
        { from: 'ordinary', to: ['none'] },
      ],
    }),
    'not sorted',
  ],
  [
    'a change into roles not sorted',
    but('admin', { changes: [{ from: 'ordinary', to: ['visitor', 'none'] }] }),
    'not sorted',
  ],
  [
    'a change into nothing',
    but('admin', { changes: [{ from: 'ordinary', to: [] }] }),
    'leads nowhere',
  ],
  [
    'a change into itself',
    but('admin', { changes: [{ from: 'ordinary', to: ['ordinary'] }] }),
    'leads nowhere',
  ],
  ['a change into a role that is not there', lacking('visitor'), 'not defined'],
  [
    'a change of a role that is not there',
    but(
      'owner',
      { changes: [{ from: 'visitor', to: ['none'] }] },
      lacking(
        'visitor',
        but(
          'admin',
          { changes: [] },
          but('moderator', { changes: [] }, but('policy_enforcer', { changes: [] })),
        ),
      ),
    ),
    'not defined',
  ],
  [
    'a change into the hub',
    but('owner', { changes: [{ from: 'ordinary', to: ['policy_enforcer'] }] }),
    'becomes the hub',
  ],
  [
    'a change of the hub',
    but('owner', { changes: [{ from: 'policy_enforcer', to: ['none'] }] }),
    'becomes the hub',
  ],
  [
    'a change from banned to a role',
    but('owner', { changes: [{ from: 'banned', to: ['ordinary'] }] }),
    'only one way',
  ],
  [
    'a change of the departed',
    but('policy_enforcer', { changes: [{ from: 'departed', to: ['ordinary'] }] }, groupDm),
    'stays away',
    'group_dm',
  ],
  ['strangers who write', but('none', { capabilities: ['canSendMessage'] }), 'no more'],
  [
    'strangers who give roles',
    but('none', { changes: [{ from: 'ordinary', to: ['admin'] }] }),
    'strangers enter',
  ],
  [
    'strangers who enter as admins',
    but('none', { changes: [{ from: 'none', to: ['admin'] }] }, open),
    'strangers enter',
    'public',
  ],
  [
    'strangers who enter and go nowhere',
    but('none', { changes: [] }, open),
    'strangers enter',
    'public',
  ],
  ['strangers who enter a group', but('none', { capabilities: ['canOpenJoin'] }), 'only strangers'],
  [
    'members who join openly',
    but('visitor', { capabilities: ['canOpenJoin'] }, open),
    'only strangers',
    'public',
  ],
  ['banned who leave', but('banned', { capabilities: ['canRemoveSelf'] }), 'may do nothing'],
  [
    'banned who let themselves in',
    but('banned', { changes: [{ from: 'banned', to: ['none'] }] }),
    'may do nothing',
  ],
  [
    'departed who write',
    but('departed', { capabilities: ['canSendMessage'] }, groupDm),
    'may do nothing',
    'group_dm',
  ],
  [
    'a hub that writes',
    but('policy_enforcer', { capabilities: ['canSendMessage'] }),
    'may do less',
  ],
  [
    'a hub that bans',
    but('policy_enforcer', { changes: [{ from: 'ordinary', to: ['banned'] }] }),
    'gives no roles',
  ],
  [
    'a dm that grows',
    but('owner', { capabilities: ['canAddParticipant'] }, dm),
    'canAddParticipant',
    'dm',
  ],
  [
    'a dm that is left',
    but('ordinary', { capabilities: ['canRemoveSelf'] }, dm),
    'canRemoveSelf',
    'dm',
  ],
  [
    'a dm with a title',
    but('ordinary', { capabilities: ['canChangeRoomName'] }, dm),
    'canChangeRoomName',
    'dm',
  ],
  [
    'a dm whose roles change',
    but('owner', { changes: [{ from: 'ordinary', to: ['owner'] }] }, dm),
    'roles do not change',
    'dm',
  ],
  [
    'a group dm with kicks',
    but('owner', { capabilities: ['canKick'] }, groupDm),
    'canKick',
    'group_dm',
  ],
  [
    'a group dm that is added to',
    but('owner', { capabilities: ['canAddParticipant'] }, groupDm),
    'canAddParticipant',
    'group_dm',
  ],
];

test.each(malformed)(
  'a policy with %s is refused',
  (...[, roles, message, kind = 'group', role = 'ordinary']) => {
    const decode = () => decodePolicy(encodePolicy(roles), kind, role);
    expect(decode).toThrow(Failure);
    expect(decode).toThrow(message);
  },
);

test('there are more than 30 ways to be malformed', () => {
  expect(malformed.length).toBeGreaterThan(30);
});

test.each([
  ['a role that we do not know', (tls: Uint8Array) => tls.with(2, 9), 'role 9'],
  ['a byte too many', (tls: Uint8Array) => Uint8Array.of(...tls, 0), 'too many'],
  ['a byte too few', (tls: Uint8Array) => tls.slice(0, -1), 'too early'],
])('a policy with %s does not decode', (_, change, message) => {
  const decode = () => decodePolicy(change(encodePolicy(group)), 'group', 'ordinary');
  expect(decode).toThrow(Failure);
  expect(decode).toThrow(message);
});

test('a capability that the registry reserves does not decode', () => {
  const tls = encodePolicy(but('visitor', { capabilities: ['canUsePsk'] }));
  const at = tls.findIndex((byte, index) => byte === 0xf0 && tls[index + 1] === 0x01);
  const reserved = Uint8Array.from(tls);
  reserved.set([0x00, 0x07], at);
  const decode = () => decodePolicy(reserved, 'group', 'ordinary');
  expect(decode).toThrow('capability 7 is unknown');
});
