import type { Change } from './change.ts';
import { HELD } from './policy-check.ts';
import { isFixed } from './roles.ts';
import { entryOf } from './room.ts';
import { can, general, leads, mayChange, needs, rule } from './rule.ts';
import type { Asked, Rule } from './rule.ts';

const ENTERING: ReadonlySet<Change['kind']> = new Set<Change['kind']>(['external_join', 'resync']);

const OF_HUB: ReadonlySet<Change['kind']> = new Set<Change['kind']>([
  'remove',
  'remove_client',
  'policy',
]);

const WITH_COMMIT: ReadonlySet<Change['kind']> = new Set<Change['kind']>([
  'add',
  'add_client',
  'update',
  'psk',
  'reinit',
  'send',
]);

/** In what form something may come at all. */
const FORM_RULES: readonly Rule[] = [
  general('the hub proposes', ({ who, form }) =>
    who === 'hub' && form !== 'external' ? 'the hub proposes, and commits nothing' : undefined,
  ),
  general('the hub takes out and proposes policies', ({ who, step }) =>
    who === 'hub' && !OF_HUB.has(step.kind)
      ? 'the hub removes the dead and proposes policies, no more'
      : undefined,
  ),
  general('outsiders enter', ({ who, form, step }) =>
    who !== 'hub' && form === 'external' && !ENTERING.has(step.kind)
      ? 'whoever is outside of a room proposes nothing to it'
      : undefined,
  ),
  general('one enters from outside', ({ form, step }) =>
    form !== 'external' && ENTERING.has(step.kind)
      ? 'one enters a room by an external commit'
      : undefined,
  ),
  general('some things come with their commit', ({ form, step }) =>
    form === 'by-reference' && WITH_COMMIT.has(step.kind)
      ? 'this is done by a commit, not proposed ahead of one'
      : undefined,
  ),
  rule('leaving is proposed', 'leave', ({ form }) =>
    form === 'inline'
      ? 'nobody commits the own leaving; propose it, and another commits it'
      : undefined,
  ),
  rule('other proposals are not used', 'other', () => 'rooms make no use of such proposals'),
];

const STANDING_RULES: readonly Rule[] = [
  general('participants change a room', ({ who, step, place }) =>
    who === 'hub' || step.kind === 'external_join' || place.participants.includes(who)
      ? undefined
      : 'only participants of a room may change it',
  ),
  general('a role is defined', ({ definition }) =>
    definition === undefined ? 'the room does not know your role' : undefined,
  ),
];

const COMING_RULES: readonly Rule[] = [
  rule('a settled room is added to when it is founded', 'add', ({ place }) => {
    const { room, participants } = place;
    if (room.kind === 'dm') {
      return 'nobody is added to a conversation between two; make a group instead';
    }
    const isFounding =
      participants.length === 1 && room.entries.every(({ role }) => role !== 'departed');
    return room.kind !== 'group_dm' || isFounding
      ? undefined
      : 'nobody is added to a conversation that is settled; make another one';
  }),
  rule('add needs canAddParticipant', 'add', (asked) =>
    isFixed(asked.place.room.kind) || can(asked, 'canAddParticipant')
      ? undefined
      : 'your role in this room does not let you add others',
  ),
  rule('add needs its role change', 'add', (asked, { as }) => {
    const { room } = asked.place;
    const to = as ?? room.defaultRole;
    const isLed = isFixed(room.kind) ? to === room.defaultRole : mayChange(asked, 'none', to);
    if (isLed && HELD.has(to)) return undefined;
    return 'your role in this room does not let you add others in that role';
  }),
  rule('the banned and the departed are not added', 'add', ({ place }, { participants }) => {
    const standing = participants.map((each) => entryOf(place.room, each));
    if (standing.includes('banned')) return 'somebody is banned from this room';
    return standing.includes('departed')
      ? 'whoever left this conversation stays out of it'
      : undefined;
  }),
  rule('add brings in the new', 'add', ({ place }, { participants }) =>
    participants.some((each) => place.participants.includes(each))
      ? 'somebody is in the room already'
      : undefined,
  ),
  rule('own clients are added', 'add_client', ({ who }, { participant }) =>
    participant === who
      ? undefined
      : "only a user's own clients add and remove that user's clients one by one",
  ),
  needs('add_client', 'canAddOwnClient', 'your role in this room does not let you add clients'),
  rule('the second enters a dm', 'external_join', ({ place, who }) => {
    const { room, participants } = place;
    if (room.kind !== 'dm' || (participants.length === 1 && participants[0] !== who)) {
      return undefined;
    }
    return 'this conversation between two is full';
  }),
  rule('strangers enter where canOpenJoin', 'external_join', (asked) =>
    asked.place.room.kind === 'dm' || can(asked, 'canOpenJoin') ? undefined : closed(asked),
  ),
];

function closed({ role }: Asked): string {
  if (role === 'banned') return 'you are banned from this room';
  if (role === 'departed') return 'whoever left this conversation stays out of it';
  return 'one enters this room by being added to it';
}

const GOING_RULES: readonly Rule[] = [
  rule('others are removed', 'remove', ({ who }, { participants }) =>
    participants.some((each) => each === who) ? 'one leaves a room by saying so' : undefined,
  ),
  rule('those present are removed', 'remove', ({ place }, { participants }) =>
    participants.every((each) => place.participants.includes(each))
      ? undefined
      : 'somebody is not in the room',
  ),
  rule('remove needs canRemoveParticipant or canKick', 'remove', (asked) =>
    can(asked, 'canRemoveParticipant') || can(asked, 'canKick')
      ? undefined
      : asked.place.room.kind === 'dm'
        ? 'nobody is removed from a conversation between two; block the other instead'
        : 'your role in this room does not let you remove others',
  ),
  leads(
    'remove',
    ({ place }, { participants }) =>
      participants.map((each) => [each, place.room.kind === 'group_dm' ? 'departed' : 'none']),
    'your role in this room does not let you remove one of them',
  ),
  rule('own clients are removed', 'remove_client', ({ who }, { participant }) =>
    who === 'hub' || participant === who
      ? undefined
      : "only a user's own clients add and remove that user's clients one by one",
  ),
  rule('remove_client needs canRemoveOwnClient', 'remove_client', (asked) =>
    asked.who === 'hub' || can(asked, 'canRemoveOwnClient')
      ? undefined
      : 'your role in this room does not let you remove clients',
  ),
  rule('the hub kicks clients', 'remove_client', (asked) =>
    asked.who !== 'hub' || can(asked, 'canKick') ? undefined : 'the hub removes no clients here',
  ),
  rule('leave needs canRemoveSelf', 'leave', (asked) =>
    can(asked, 'canRemoveSelf')
      ? undefined
      : asked.place.room.kind === 'dm'
        ? 'nobody leaves a conversation between two; block the other instead'
        : 'your role in this room does not let you leave it',
  ),
  rule('somebody lets one go', 'leave', ({ place, who }) =>
    place.participants.some((each) => each !== who)
      ? undefined
      : 'nobody stays who could let you go; delete the group instead',
  ),
];

const ROLE_RULES: readonly Rule[] = [
  needs('ban', 'canBan', 'your role in this room does not let you ban others'),
  rule('others are banned', 'ban', ({ who }, { participant }) =>
    participant === who ? 'nobody bans oneself' : undefined,
  ),
  leads(
    'ban',
    (_, { participant }) => [[participant, 'banned']],
    'your role in this room does not let you ban that participant',
  ),
  needs('unban', 'canUnBan', 'your role in this room does not let you let the banned in again'),
  leads(
    'unban',
    (_, { participant }) => [[participant, 'none']],
    'your role in this room does not let you let that one in again',
  ),
  rule('the banned are let in again', 'unban', ({ place }, { participant }) =>
    entryOf(place.room, participant) === 'banned' ? undefined : 'nobody of that kind is banned',
  ),
  rule('those present are given roles', 'role', ({ place }, { participant }) =>
    place.participants.includes(participant)
      ? undefined
      : 'only participants of the room are given a role',
  ),
  rule('a role is one for participants', 'role', (_, { to }) =>
    HELD.has(to) ? undefined : 'nobody in a room holds that role',
  ),
  rule('role needs canChangeUserRole', 'role', (asked, { participant }) =>
    participant === asked.who || can(asked, 'canChangeUserRole')
      ? undefined
      : 'your role in this room does not let you give roles',
  ),
  rule('role needs canChangeOwnRole', 'role', (asked, { participant }) =>
    participant !== asked.who || can(asked, 'canChangeOwnRole')
      ? undefined
      : 'your role in this room does not let you change it yourself',
  ),
  leads(
    'role',
    (_, { participant, to }) => [[participant, to]],
    'your role in this room does not let you give that role to that participant',
  ),
];

const OTHER_RULES: readonly Rule[] = [
  rule('title needs canChangeRoomName', 'title', (asked) =>
    can(asked, 'canChangeRoomName')
      ? undefined
      : asked.place.room.kind === 'dm'
        ? 'a conversation between two has no title and no roles'
        : 'your role in this room does not let you name it',
  ),
  needs(
    'policy',
    'canChangeRoleDefinitions',
    'your role in this room does not let you change what roles may do',
  ),
  needs('psk', 'canUsePsk', 'your role in this room does not let you mix in a key'),
  needs(
    'reinit',
    'canSendMLSReinitProposal',
    'your role in this room does not let you replace the group',
  ),
  rule('a group stays at its hub', 'reinit', (_, { isSameHub }) =>
    isSameHub ? undefined : 'a group does not move to another homeserver',
  ),
  needs('send', 'canSendMessage', 'your role in this room does not let you write'),
];

/** Every reason to refuse a step by itself. */
export const RULES: readonly Rule[] = [
  ...FORM_RULES,
  ...STANDING_RULES,
  ...COMING_RULES,
  ...GOING_RULES,
  ...ROLE_RULES,
  ...OTHER_RULES,
];

/** The first reason to refuse, if any. */
export function refusalOf(asked: Asked, rules: readonly Rule[] = RULES): string | undefined {
  for (const { refuse } of rules) {
    const sentence = refuse(asked);
    if (sentence !== undefined) return sentence;
  }
  return undefined;
}
