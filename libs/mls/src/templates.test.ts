import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { nodeCrypto } from '@roost/crypto/node';
import { definitionOf, defineRole } from './policy.ts';
import type { RoleDefinition } from './policy.ts';
import { decodeRoomState, encodeRoomState } from './room.ts';
import {
  TEMPLATES,
  conforms,
  conformsTo,
  foundingRoom,
  templateHash,
  templateNamed,
  templateOf,
} from './templates.ts';
import type { TemplateName } from './templates.ts';

const founder = 'a'.repeat(32);
const names = [...TEMPLATES.keys()];

test.each(names)('the hash of %s stands in proto/README.md', (name) => {
  const readme = readFileSync(new URL('../../../proto/README.md', import.meta.url), 'utf8');
  const hash = Buffer.from(templateHash(nodeCrypto, name)).toString('hex');
  expect(readme).toContain(`| \`${name}\` | ${hash} |`);
});

test.each(names)('a room of %s begins with its founder as its owner', (name) => {
  const room = foundingRoom(templateNamed(name), founder, new Uint8Array(0));
  expect(room.entries).toEqual([{ participant: founder, role: 'owner' }]);
  expect(decodeRoomState(encodeRoomState(room))).toEqual(room);
});

test('a group is cooperative unless its founder wants another template', () => {
  expect(templateOf('group').name).toBe('cooperative');
  expect(templateOf('public').kind).toBe('public');
});

test.each(names)('%s conforms to itself', (name) => {
  const { kind, roles } = templateNamed(name);
  expect(conforms(roles, name)).toBe(true);
  expect(conformsTo(roles, kind)).toContain(name);
});

/** The strict template with one role otherwise. */
const strict = templateNamed('strict').roles;
const but = (role: string, change: Partial<RoleDefinition>): RoleDefinition[] =>
  strict.map((each) => (each.role === role ? { ...each, ...change } : each));
const admin = definitionOf(strict, 'admin')?.changes ?? [];

const cases: [string, RoleDefinition[], boolean][] = [
  ['another name for people', but('admin', { name: 'host' }), true],
  ['fewer capabilities', but('admin', { capabilities: [] }), true],
  ['fewer changes', but('admin', { changes: [] }), true],
  ['a higher minimum', but('owner', { min: 2 }), true],
  ['a maximum', but('admin', { max: 3 }), true],
  ['a role less', strict.filter(({ role }) => role !== 'visitor'), true],
  ['a capability more', but('ordinary', { capabilities: ['canAddParticipant'] }), false],
  ['a change more', but('admin', { changes: [...admin, { from: 'owner', to: ['none'] }] }), false],
  [
    'a change of the same role more',
    but('admin', { changes: [{ from: 'visitor', to: ['owner'] }] }),
    false,
  ],
  ['a lower minimum', but('owner', { min: 0 }), false],
  ['banned who may be there', but('banned', { maxActive: undefined }), false],
  ['a looser active maximum', but('banned', { maxActive: 1 }), false],
  ['a role more', [...strict, defineRole('departed', { maxActive: 0 })], false],
];

test.each(cases)('a policy with %s conforms to its template, or not', (_, roles, isWithin) => {
  expect(conforms(roles, 'strict')).toBe(isWithin);
});

test('what is cooperative is not strict, and what is strict is not cooperative by its PSKs', () => {
  const within = (name: TemplateName) => conformsTo(templateNamed(name).roles, 'group');
  expect(within('cooperative')).toEqual(['cooperative']);
  expect(within('strict')).toEqual(['strict']);
  expect(within('moderated')).toEqual(['moderated']);
});
