import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { defineRole, definitionOf, writePolicy } from './policy.ts';
import type { RoleDefinition } from './policy.ts';
import { withRole } from './room.ts';
import type { ParticipantId, RoomState } from './room.ts';
import { KINDS, ROLES } from './roles.ts';
import type { Capability, Role, RoomKind } from './roles.ts';

/** A policy that has a name, so that clients know one by its hash (MLSACP-2). */
export interface Template {
  readonly name: TemplateName;
  readonly kind: RoomKind;
  readonly defaultRole: Role;
  readonly roles: readonly RoleDefinition[];
}

export type TemplateName = 'dm' | 'group_dm' | 'cooperative' | 'strict' | 'moderated' | 'public';

const READING: readonly Capability[] = [
  'canAddOwnClient',
  'canRemoveOwnClient',
  'canReceiveMessage',
  'canCopyMessage',
  'canReportAbuse',
  'canDownloadImage',
  'canDownloadAudio',
  'canDownloadVideo',
  'canDownloadAttachment',
  'canFollowLink',
  'canCopyLink',
];

const TALKING: readonly Capability[] = [
  ...READING,
  'canSendMessage',
  'canReplyToMessage',
  'canReactToMessage',
  'canEditReaction',
  'canDeleteOwnReaction',
  'canEditOwnMessage',
  'canDeleteOwnMessage',
  'canUploadImage',
  'canUploadAudio',
  'canUploadVideo',
  'canUploadAttachment',
  'canSendLink',
  'canSendLinkPreview',
];

const DESCRIBING: readonly Capability[] = [
  'canChangeRoomName',
  'canChangeRoomDescription',
  'canChangeRoomAvatar',
  'canChangeRoomSubject',
];

const ALL_HELD: readonly Role[] = ['ordinary', 'moderator', 'admin', 'visitor', 'owner'];

/** What tells the templates of rooms apart, whose participants come and go. */
interface Shape {
  readonly kind: 'group' | 'public';
  /** Beside what every ordinary participant may. */
  readonly ordinary: readonly Capability[];
  readonly owner: readonly Capability[];
  readonly moderatorLetsTalk: boolean;
}

/**
 * The ladder of visitor, ordinary, moderator, admin and owner: each may do what the one below may,
 * and has power over those below it; owners over all, themselves included.
 */
function ladder({ kind, ordinary, owner, moderatorLetsTalk }: Shape): readonly RoleDefinition[] {
  const talking = [...TALKING, 'canRemoveSelf' as const];
  const plain = [...talking, ...ordinary];
  const moderating = [
    ...plain,
    'canKick' as const,
    'canBan' as const,
    'canDeleteOtherMessage' as const,
    'canDeleteOtherReaction' as const,
    ...(moderatorLetsTalk ? (['canChangeUserRole'] as const) : []),
  ];
  const administering = [
    ...moderating,
    ...DESCRIBING,
    'canAddParticipant' as const,
    'canRemoveParticipant' as const,
    'canUnBan' as const,
    'canChangeUserRole' as const,
  ];
  const owning = [
    ...administering,
    ...owner,
    'canChangeOwnRole' as const,
    'canChangeRoleDefinitions' as const,
    'canDestroyRoom' as const,
  ];
  const adds: readonly Role[] = ['ordinary'];
  const opens = kind === 'public';
  return [
    defineRole('none', opens ? { capabilities: ['canOpenJoin'], changes: { none: adds } } : {}),
    defineRole('banned', { maxActive: 0 }),
    defineRole('ordinary', {
      capabilities: plain,
      ...(ordinary.includes('canAddParticipant') ? { changes: { none: adds } } : {}),
    }),
    defineRole('moderator', {
      capabilities: moderating,
      changes: {
        none: [...(ordinary.includes('canAddParticipant') ? adds : []), 'banned'],
        ordinary: ['none', 'banned', ...(moderatorLetsTalk ? (['visitor'] as const) : [])],
        visitor: ['none', 'banned', ...(moderatorLetsTalk ? (['ordinary'] as const) : [])],
      },
    }),
    defineRole('admin', {
      capabilities: administering,
      changes: {
        none: ['banned', 'ordinary', 'visitor'],
        banned: ['none'],
        ordinary: ['none', 'banned', 'moderator', 'visitor'],
        moderator: ['none', 'banned', 'ordinary', 'visitor'],
        visitor: ['none', 'banned', 'ordinary', 'moderator'],
      },
    }),
    enforcer('none', ['canKick', 'canRemoveParticipant', 'canChangeRoleDefinitions']),
    defineRole('visitor', { capabilities: [...READING, 'canRemoveSelf'] }),
    defineRole('owner', { min: 1, capabilities: owning, changes: ownersChanges() }),
  ];
}

function ownersChanges(): Partial<Record<Role, readonly Role[]>> {
  const everywhere = (from: Role): readonly Role[] => [
    'none',
    'banned',
    ...ALL_HELD.filter((to) => to !== from),
  ];
  return {
    none: ['banned', ...ALL_HELD],
    banned: ['none'],
    ...Object.fromEntries(ALL_HELD.map((from) => [from, everywhere(from)])),
  };
}

/** The hub's part: it takes dead clients out, and where it may, participants and policies. */
function enforcer(
  gone: 'none' | 'departed' | undefined,
  capabilities: readonly Capability[],
): RoleDefinition {
  const held = gone === 'departed' ? (['ordinary', 'owner'] as const) : ALL_HELD;
  const changes = Object.fromEntries(held.map((from) => [from, [gone ?? 'none']]));
  return defineRole('policy_enforcer', {
    capabilities,
    maxActive: 0,
    ...(gone === undefined ? {} : { changes }),
  });
}

const ROOMS: readonly Template[] = [
  {
    name: 'dm',
    kind: 'dm',
    defaultRole: 'ordinary',
    roles: [
      defineRole('none', {}),
      defineRole('ordinary', { capabilities: TALKING, max: 1 }),
      enforcer(undefined, ['canKick']),
      defineRole('owner', { capabilities: TALKING, max: 1 }),
    ],
  },
  {
    name: 'group_dm',
    kind: 'group_dm',
    defaultRole: 'ordinary',
    roles: [
      defineRole('none', {}),
      defineRole('ordinary', { capabilities: [...TALKING, ...DESCRIBING, 'canRemoveSelf'] }),
      enforcer('departed', ['canKick', 'canRemoveParticipant']),
      defineRole('owner', { capabilities: [...TALKING, ...DESCRIBING, 'canRemoveSelf'], max: 1 }),
      defineRole('departed', { maxActive: 0 }),
    ],
  },
  {
    name: 'cooperative',
    kind: 'group',
    defaultRole: 'ordinary',
    roles: ladder({
      kind: 'group',
      ordinary: ['canAddParticipant', ...DESCRIBING],
      owner: [],
      moderatorLetsTalk: false,
    }),
  },
  {
    name: 'strict',
    kind: 'group',
    defaultRole: 'ordinary',
    roles: ladder({ kind: 'group', ordinary: [], owner: ['canUsePsk'], moderatorLetsTalk: false }),
  },
  {
    name: 'moderated',
    kind: 'group',
    defaultRole: 'ordinary',
    roles: ladder({ kind: 'group', ordinary: [], owner: [], moderatorLetsTalk: true }),
  },
  {
    name: 'public',
    kind: 'public',
    defaultRole: 'ordinary',
    roles: ladder({
      kind: 'public',
      ordinary: ['canAddParticipant'],
      owner: [],
      moderatorLetsTalk: true,
    }),
  },
];

/** All templates by name. */
export const TEMPLATES: ReadonlyMap<TemplateName, Template> = new Map(
  ROOMS.map((template) => [template.name, template]),
);

/** The template that a room of a kind begins with, unless its founder wants another. */
export function templateOf(kind: RoomKind): Template {
  return templateNamed(kind === 'group' ? 'cooperative' : kind);
}

export function templateNamed(name: TemplateName): Template {
  const template = TEMPLATES.get(name);
  if (template === undefined) throw new Error(`no template ${name}`);
  return template;
}

/** A room as it begins: its founder is its owner, and nobody else is in it. */
export function foundingRoom(
  { kind, defaultRole, roles }: Template,
  founder: ParticipantId,
  sealedTitle: Uint8Array,
): RoomState {
  return withRole({ kind, defaultRole, sealedTitle, roles, entries: [] }, founder, 'owner');
}

/** SHA-256 over `{ uint16 version = 1; uint8 kind; uint8 default_role; RoleDefinition roles<V> }`. */
export function templateHash(crypto: Pick<Crypto, 'sha256'>, name: TemplateName): Uint8Array {
  const { kind, defaultRole, roles } = templateNamed(name);
  return crypto.sha256(
    encode((writer) => {
      writer.u16(HASH_VERSION).u8(KINDS[kind]).u8(ROLES[defaultRole]);
      writePolicy(writer, roles);
    }),
  );
}

const HASH_VERSION = 1;

/**
 * Whether a policy stays within a template: it defines no role that the template does not, no role
 * holds a capability or a role change that its namesake does not, no limit is looser, and what the
 * template wants at least is wanted. Names for people are free.
 */
export function conforms(roles: readonly RoleDefinition[], name: TemplateName): boolean {
  const template = templateNamed(name);
  return roles.every((definition) => {
    const model = definitionOf(template.roles, definition.role);
    if (model === undefined) return false;
    const { capabilities, changes, min, max, maxActive } = definition;
    return (
      capabilities.every((each) => model.capabilities.includes(each)) &&
      changes.every(({ from, to }) =>
        to.every((each) => model.changes.find((change) => change.from === from)?.to.includes(each)),
      ) &&
      min >= model.min &&
      isWithin(max, model.max) &&
      isWithin(maxActive, model.maxActive)
    );
  });
}

/** The templates of a kind that a policy stays within. */
export function conformsTo(roles: readonly RoleDefinition[], kind: RoomKind): TemplateName[] {
  return ROOMS.filter((each) => each.kind === kind && conforms(roles, each.name)).map(
    ({ name }) => name,
  );
}

function isWithin(limit: number | undefined, model: number | undefined): boolean {
  return model === undefined || (limit !== undefined && limit <= model);
}
