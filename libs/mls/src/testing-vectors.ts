import { assert } from '@roost/core/assert';
import { utf8 } from '@roost/core/bytes';
import type { Author, CommitDeeds } from './authorize-commit.ts';
import type { Question } from './authorize.ts';
import type { Change, Form, Place, Step, Who } from './change.ts';
import type { RoleDefinition } from './policy.ts';
import { CAPABILITIES } from './roles.ts';
import type { Capability, Role, RoomKind } from './roles.ts';
import type { ParticipantId, RoomState } from './room.ts';
import { templateNamed } from './templates.ts';
import type { TemplateName } from './templates.ts';

/** `vectors/authorize.json` as the questions that `authorize` and `authorizeCommit` answer. */
export interface VectorFile {
  readonly proposals: Readonly<Record<string, string>>;
  readonly matrix: readonly MatrixRow[];
  readonly single: readonly SingleRow[];
  readonly commits: readonly CommitRow[];
}

export interface MatrixRow {
  readonly room: TemplateName;
  readonly role: Role;
  readonly form: Form;
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
}

type Patches = Readonly<Record<string, Patch>>;

interface Patch {
  readonly gets?: readonly Capability[];
  readonly loses?: readonly Capability[];
  readonly min?: number;
  readonly max?: number;
  readonly maxActive?: number;
}

interface After {
  readonly roles?: Readonly<Record<string, Role | null>>;
  readonly title?: true;
  readonly policy?: TemplateName;
  readonly patch?: Patches;
  readonly kind?: RoomKind;
  readonly defaultRole?: Role;
}

export interface SingleRow {
  readonly name: string;
  readonly room: TemplateName;
  readonly patch?: Patches;
  readonly present: Readonly<Record<string, Role>>;
  readonly absent?: Readonly<Record<string, Role>>;
  readonly who: string;
  readonly form: Form;
  readonly change: { readonly kind: string } & Readonly<Record<string, unknown>>;
  readonly allowed: boolean;
}

export interface CommitRow {
  readonly name: string;
  readonly room: TemplateName;
  readonly patch?: Patches;
  readonly leaves: readonly string[];
  readonly roles: Readonly<Record<string, Role>>;
  readonly committer: string;
  readonly external?: true;
  readonly added?: readonly string[];
  readonly removed?: readonly (readonly [number, string, Form])[];
  readonly after?: After;
  readonly by?: readonly [string, Form];
  readonly others?: readonly string[];
  readonly allowed: boolean;
}

/** One question, what is to be answered, and what a failing test says of it. */
export interface Vector<T> {
  readonly name: string;
  readonly asked: T;
  readonly allowed: boolean;
}

export function* singleVectors({ matrix, single }: VectorFile): Generator<Vector<Question>> {
  for (const row of single) {
    yield { name: row.name, asked: questionOf(row), allowed: row.allowed };
  }
  for (const row of matrix) {
    const scene = sceneOf(row);
    for (const allowed of [true, false]) {
      for (const deed of allowed ? row.allowed : row.refused) {
        const name = `${row.role} in ${row.room}, ${row.form}: ${deed}`;
        const { place, who } = scene.with(deed);
        const change = changeOf(place.room, deed, row.role);
        yield { name, asked: { place, who, change, form: row.form }, allowed };
      }
    }
  }
}

export function* commitVectors({ commits }: VectorFile): Generator<Vector<CommitDeeds>> {
  for (const row of commits) yield { name: row.name, asked: deedsOfRow(row), allowed: row.allowed };
}

/** A name as a participant id: the same name, the same id. */
export function idOf(name: string): ParticipantId {
  return Buffer.from(name).toString('hex').padEnd(32, '0').slice(0, 32);
}

const whoOf = (name: string): Who => (name === 'hub' ? 'hub' : idOf(name));

export function roomOfRow(template: TemplateName, patch: Patches = {}): RoomState {
  const { kind, defaultRole, roles } = templateNamed(template);
  const sealedTitle = utf8('title');
  return { kind, defaultRole, sealedTitle, roles: patchedRoles(roles, patch), entries: [] };
}

/** A roles list with what a row has otherwise. */
export function patchedRoles(
  roles: readonly RoleDefinition[],
  patch: Patches = {},
): readonly RoleDefinition[] {
  if (Object.keys(patch).length === 0) return roles;
  return roles.map((definition) => {
    const { gets = [], loses = [], ...limits } = patch[definition.role] ?? {};
    const capabilities = [...definition.capabilities, ...gets]
      .filter((each) => !loses.includes(each))
      .toSorted((a, b) => CAPABILITIES[a] - CAPABILITIES[b]);
    return { ...definition, capabilities, ...limits };
  });
}

function withEntries(room: RoomState, roles: Readonly<Record<string, Role | null>>): RoomState {
  const entries = new Map(room.entries.map(({ participant, role }) => [participant, role]));
  for (const [name, role] of Object.entries(roles)) {
    if (role === null || role === room.defaultRole) entries.delete(idOf(name));
    else entries.set(idOf(name), role);
  }
  const sorted = [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { ...room, entries: sorted.map(([participant, role]) => ({ participant, role })) };
}

export function roomAfter(room: RoomState, after: After): RoomState {
  const { roles = {}, title, policy, patch = {}, kind, defaultRole } = after;
  const list = policy === undefined ? room.roles : templateNamed(policy).roles;
  return {
    ...withEntries(room, roles),
    roles: patchedRoles(list, patch),
    ...(title === true ? { sealedTitle: utf8('another') } : {}),
    ...(kind === undefined ? {} : { kind }),
    ...(defaultRole === undefined ? {} : { defaultRole }),
  };
}

const ABSENT: ReadonlySet<string> = new Set(['none', 'banned', 'policy_enforcer', 'departed']);

/**
 * Who is there when somebody of a role does something to somebody of another: the actor, the target,
 * and besides, where the room is not one of two, an owner and an ordinary participant.
 */
function sceneOf({ room: template, role }: MatrixRow) {
  const room = roomOfRow(template);
  return {
    with(deed: string): { place: Place; who: Who } {
      const target = targetOf(deed);
      const present: Record<string, Role> = {};
      if (!ABSENT.has(role)) present['actor'] = role;
      if (target !== undefined && target !== 'none') present['target'] = target;
      if (room.kind === 'dm') {
        present['other'] = 'ordinary';
        present['keeper'] = 'owner';
      } else {
        present['keeper'] = 'owner';
        present['other'] = 'ordinary';
      }
      const absent: Record<string, Role> = { outcast: 'banned' };
      if (role === 'banned' || role === 'departed') absent['actor'] = role;
      const participants = Object.keys(present).map(idOf);
      const place = { room: withEntries(room, { ...present, ...absent }), participants };
      return { place, who: role === 'policy_enforcer' ? 'hub' : idOf('actor') };
    },
  };
}

function targetOf(deed: string): Role | undefined {
  const [verb = '', first] = deed.split(' ');
  if (verb === 'remove' || verb === 'ban' || verb === 'role') return first as Role;
  return verb === 'split' ? 'ordinary' : undefined;
}

const SIMPLE: ReadonlySet<string> = new Set([
  'leave',
  'update',
  'psk',
  'external_join',
  'resync',
  'other',
  'send',
]);

function changeOf(room: RoomState, deed: string, role: Role): Change {
  const [verb = '', first, second] = deed.split(' ');
  const target = idOf('target');
  const next = (after: After): Change => ({ kind: 'room', next: roomAfter(room, after) });
  if (SIMPLE.has(verb)) return { kind: verb } as Change;
  switch (verb) {
    case 'add':
      return { kind: 'add', participants: [idOf('new')], as: first as Role | undefined };
    case 'add_client':
    case 'remove_client':
      return {
        kind: verb,
        participant: role === 'policy_enforcer' ? idOf('other') : idOf('actor'),
      };
    case 'split':
      return { kind: 'remove_client', participant: target };
    case 'remove':
      return { kind: 'remove', participants: [target] };
    case 'reinit':
      return { kind: 'reinit', isSameHub: true };
    case 'same':
      return next({});
    case 'title':
      return next({ title: true });
    case 'policy':
      return next({ patch: { ordinary: { max: 5_000 } } });
    case 'ban':
      return next({ roles: { [first === 'none' ? 'new' : 'target']: 'banned' } });
    case 'unban':
      return next({ roles: { outcast: null } });
    case 'role':
      return next({ roles: { target: second as Role } });
    case 'step':
      return next({ roles: { actor: first as Role } });
    default:
      throw new Error(`the vectors have a deed ${verb} that nobody knows`);
  }
}

function questionOf(row: SingleRow): Question {
  const { room, patch, present, absent = {}, who, form, change } = row;
  const state = withEntries(roomOfRow(room, patch), { ...present, ...absent });
  const place = { room: state, participants: Object.keys(present).map(idOf) };
  const { participant, participants, next, ...rest } = change;
  const named = {
    ...rest,
    ...(typeof participant === 'string' ? { participant: idOf(participant) } : {}),
    ...(Array.isArray(participants) ? { participants: participants.map(String).map(idOf) } : {}),
    ...(next === undefined ? {} : { next: roomAfter(state, next as After) }),
  };
  return { place, who: whoOf(who), change: named as Change, form };
}

export function deedsOfRow(row: CommitRow): CommitDeeds {
  const { leaves, roles, committer, external = false, added = [], removed = [], after } = row;
  const roomBefore = withEntries(roomOfRow(row.room, row.patch), roles);
  const form = external ? 'external' : 'inline';
  const own: Author = { who: idOf(committer), form };
  const [by, how] = row.by ?? [committer, form];
  const others = (row.others ?? []).map((kind) => ({ step: otherStep(kind), by: own }));
  return {
    members: new Map(leaves.map((name, at) => [at, idOf(name)])),
    committer: idOf(committer),
    isExternal: external,
    added: added.map((name) => ({ participant: idOf(name), by: own })),
    removed: removed.map(([leafIndex, name, way]) => ({
      leafIndex,
      by: { who: whoOf(name), form: way },
    })),
    roomBefore,
    roomAfter: after === undefined ? roomBefore : roomAfter(roomBefore, after),
    roomBy: after === undefined ? undefined : { who: whoOf(by), form: how },
    others,
  };
}

function otherStep(kind: string): Step {
  if (kind === 'psk' || kind === 'other') return { kind };
  assert(kind.startsWith('reinit'), 'the vectors know no other');
  return { kind: 'reinit', isSameHub: kind === 'reinit' };
}
