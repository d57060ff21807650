import type { Form, Place, Step, Who } from './change.ts';
import { definitionOf } from './policy.ts';
import type { RoleDefinition } from './policy.ts';
import { entryOf } from './room.ts';
import type { ParticipantId, Role } from './room.ts';
import type { Capability } from './roles.ts';

/** A step that somebody wants to take, with what the rules look at. */
export interface Asked {
  readonly place: Place;
  readonly who: Who;
  readonly form: Form;
  readonly step: Step;
  /** The role that whoever asks holds. */
  readonly role: Role;
  /** Absent where the room does not know that role. */
  readonly definition: RoleDefinition | undefined;
}

/** One reason to refuse a step: a sentence for people where it applies. */
export interface Rule {
  readonly name: string;
  readonly refuse: (asked: Asked) => string | undefined;
}

export function askedOf(place: Place, who: Who, step: Step, form: Form): Asked {
  const role = who === 'hub' ? 'policy_enforcer' : standingOf(place, who);
  return { place, who, form, step, role, definition: definitionOf(place.room.roles, role) };
}

/** The role of anybody: strangers have the role `none`. */
export function standingOf({ room, participants }: Place, who: ParticipantId): Role {
  return entryOf(room, who) ?? (participants.includes(who) ? room.defaultRole : 'none');
}

/** A rule about steps of one kind. */
export function rule<Kind extends Step['kind']>(
  name: string,
  kind: Kind,
  refuse: (asked: Asked, step: Extract<Step, { readonly kind: Kind }>) => string | undefined,
): Rule {
  const isOfKind = (step: Step): step is Extract<Step, { readonly kind: Kind }> =>
    step.kind === kind;
  return {
    name,
    refuse: (asked) => (isOfKind(asked.step) ? refuse(asked, asked.step) : undefined),
  };
}

/** A rule about any step. */
export function general(name: string, refuse: Rule['refuse']): Rule {
  return { name, refuse };
}

/** A rule that steps of a kind need a capability. */
export function needs(kind: Step['kind'], capability: Capability, sentence: string): Rule {
  return rule(`${kind} needs ${capability}`, kind, (asked) =>
    can(asked, capability) ? undefined : sentence,
  );
}

/** A rule that whoever asks may change everybody concerned from their role into another. */
export function leads<Kind extends Step['kind']>(
  kind: Kind,
  target: (
    asked: Asked,
    step: Extract<Step, { readonly kind: Kind }>,
  ) => readonly [ParticipantId, Role][],
  sentence: string,
): Rule {
  return rule(`${kind} needs its role change`, kind, (asked, step) =>
    target(asked, step).every(([each, to]) => mayChange(asked, standingOf(asked.place, each), to))
      ? undefined
      : sentence,
  );
}

export function can({ definition }: Asked, capability: Capability): boolean {
  return definition?.capabilities.includes(capability) ?? false;
}

export function mayChange({ definition }: Asked, from: Role, to: Role): boolean {
  return definition?.changes.find((each) => each.from === from)?.to.includes(to) ?? false;
}
