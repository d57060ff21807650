import { assert } from '@roost/core/assert';
import { RULEBOOK, notAllowed, refusalOfLimits, refusalOfRoom } from './authorize.ts';
import type { Rulebook } from './authorize.ts';
import { stepsBetween } from './change.ts';
import type { Form, Place, Step, Who } from './change.ts';
import { entryOf, withoutParticipants } from './room.ts';
import type { ParticipantId, RoomState } from './room.ts';
import { askedOf } from './rule.ts';
import { refusalOf } from './rules.ts';

/** Who wants a part of a commit, and how it came: the committer, or who proposed it. */
export interface Author {
  readonly who: Who;
  readonly form: Form;
}

export interface Removal {
  readonly leafIndex: number;
  readonly by: Author;
}

/** All that a commit does, as the rules of rooms see it. `deedsOf` makes it of MLS proposals. */
export interface CommitDeeds {
  /** Before the commit, by leaf index. */
  readonly members: ReadonlyMap<number, ParticipantId>;
  /** Of an external commit: the participant that whoever enters declares itself to be. */
  readonly committer: ParticipantId;
  readonly isExternal: boolean;
  /** For each leaf that is added by an Add, whom it is declared to be of. */
  readonly added: readonly { readonly participant: ParticipantId; readonly by: Author }[];
  readonly removed: readonly Removal[];
  readonly roomBefore: RoomState;
  readonly roomAfter: RoomState;
  /** Whose room state it is; absent where the commit has none. */
  readonly roomBy: Author | undefined;
  /** Whatever else it holds: PSKs, Updates, a ReInit. */
  readonly others: readonly { readonly step: Step; readonly by: Author }[];
}

/** What a commit leads to. */
export interface Aftermath {
  readonly place: Place;
  /** The group was given up for another: nobody changes it or writes in it any more. */
  readonly isFrozen: boolean;
}

/**
 * Decides on a whole commit: each part by who wants it, then the commit in itself and where it
 * leads. Throws `NOT_ALLOWED`. The DS asks it of every commit, and clients of those of others.
 */
export function authorizeCommit(deeds: CommitDeeds): Aftermath {
  const moves = comingAndGoing(deeds);
  const sentence = refusalOfMoves(deeds, moves, COMMIT_RULEBOOK);
  if (sentence !== undefined) throw notAllowed(sentence);
  return {
    place: moves.after,
    isFrozen: deeds.others.some(({ step }) => step.kind === 'reinit'),
  };
}

/** A reason to refuse a commit whose parts are all allowed. */
export interface CommitRule {
  readonly name: string;
  readonly refuse: (deeds: CommitDeeds, moves: Moves) => string | undefined;
}

export interface CommitRulebook extends Rulebook {
  readonly commits: readonly CommitRule[];
}

/** The first reason to refuse a commit, if there is one. */
export function refusalOfCommit(
  deeds: CommitDeeds,
  rulebook: CommitRulebook = COMMIT_RULEBOOK,
): string | undefined {
  return refusalOfMoves(deeds, comingAndGoing(deeds), rulebook);
}

function refusalOfMoves(
  deeds: CommitDeeds,
  moves: Moves,
  rulebook: CommitRulebook,
): string | undefined {
  for (const { refuse } of rulebook.commits) {
    const sentence = refuse(deeds, moves);
    if (sentence !== undefined) return sentence;
  }
  const { roomBefore, roomAfter } = deeds;
  const may = ({ who, form }: Author, step: Step): string | undefined =>
    refusalOf(askedOf(moves.before, who, step, form), rulebook.steps);
  for (const { step, by } of partsOf(deeds, moves)) {
    const sentence = may(by, step);
    if (sentence !== undefined) return sentence;
  }
  for (const participant of moves.gone) {
    const sentence = refusalOfGoing(deeds, participant, may);
    if (sentence !== undefined) return sentence;
  }
  return (
    (roomBefore === roomAfter ? undefined : refusalOfRoom(roomBefore, roomAfter, rulebook)) ??
    refusalOfLimits(moves.before, moves.after, rulebook)
  );
}

const COMMIT_RULES: readonly CommitRule[] = [
  {
    name: 'whoever is gone leaves no role behind',
    refuse: ({ roomBefore, roomAfter }, { gone }) => {
      const settled = withoutParticipants(roomBefore, [...gone]);
      const isSettled = [...gone].every((each) => {
        const entry = entryOf(roomAfter, each);
        return entry === 'banned' || entry === entryOf(settled, each);
      });
      if (isSettled) return undefined;
      return roomBefore.kind === 'group_dm'
        ? 'whoever leaves this conversation is noted as departed by the same commit'
        : 'the role of whoever is gone is cleared by the same commit';
    },
  },
  {
    name: 'a policy comes without others coming or going',
    refuse: ({ added, removed, others, roomBefore, roomAfter }) => {
      const isPolicy = stepsBetween({ room: roomBefore, participants: [] }, roomAfter).some(
        ({ kind }) => kind === 'policy',
      );
      return isPolicy && added.length + removed.length + others.length > 0
        ? 'what roles may do is changed by itself, with nothing beside it'
        : undefined;
    },
  },
  {
    name: 'one comes back as oneself',
    refuse: ({ isExternal, removed, members, committer }) =>
      isExternal && removed.some(({ leafIndex }) => members.get(leafIndex) !== committer)
        ? 'whoever enters removes nobody but itself'
        : undefined,
  },
];

export const COMMIT_RULEBOOK: CommitRulebook = { ...RULEBOOK, commits: COMMIT_RULES };

/** Who comes and who goes with a commit, participants and not leaves. */
export interface Moves {
  readonly before: Place;
  readonly after: Place;
  readonly gone: ReadonlySet<ParticipantId>;
  readonly came: ReadonlySet<ParticipantId>;
}

function comingAndGoing(deeds: CommitDeeds): Moves {
  const { members, added, committer, isExternal, roomBefore, roomAfter } = deeds;
  const present = new Set(members.values());
  const gone = goneOf(deeds);
  const came = new Set<ParticipantId>();
  for (const { participant } of added) if (!present.has(participant)) came.add(participant);
  if (isExternal && !present.has(committer)) came.add(committer);
  const before = [...present];
  const isSame = gone.size + came.size === 0;
  const after = isSame ? before : [...before.filter((each) => !gone.has(each)), ...came];
  return {
    before: { room: roomBefore, participants: before },
    after: { room: roomAfter, participants: after },
    gone,
    came,
  };
}

/** Participants of whom no leaf stays. Most commits remove nobody, and are not looked through. */
function goneOf({ members, removed, committer, isExternal }: CommitDeeds): Set<ParticipantId> {
  if (removed.length === 0) return new Set();
  const leaves = new Set(removed.map(({ leafIndex }) => leafIndex));
  const gone = new Set(removed.map(({ leafIndex }) => participantAt(members, leafIndex)));
  for (const [leafIndex, each] of members) if (!leaves.has(leafIndex)) gone.delete(each);
  if (isExternal) gone.delete(committer);
  return gone;
}

interface Part {
  readonly step: Step;
  readonly by: Author;
}

/** The parts of a commit, besides participants that go with all their clients. */
function partsOf(deeds: CommitDeeds, { before, gone, came }: Moves): Part[] {
  const { committer, isExternal, members, roomAfter, roomBy, removed } = deeds;
  const parts: Part[] = [...deeds.others];
  if (isExternal) {
    const kind = removed.length > 0 ? ('resync' as const) : ('external_join' as const);
    parts.push({ step: { kind }, by: { who: committer, form: 'external' } });
  } else {
    parts.push({ step: { kind: 'update' }, by: { who: committer, form: 'inline' } });
    for (const { leafIndex, by } of removed) {
      const participant = participantAt(members, leafIndex);
      if (gone.has(participant)) continue;
      parts.push({ step: { kind: 'remove_client', participant }, by });
    }
  }
  for (const { participant, by } of deeds.added) {
    if (!came.has(participant)) {
      parts.push({ step: { kind: 'add_client', participant }, by });
      continue;
    }
    const as = entryOf(roomAfter, participant);
    parts.push({ step: { kind: 'add', participants: [participant], as }, by });
  }
  // Who goes and who comes is told by their leaves; of those who go, a ban is told here.
  const settled = [...gone].filter((each) => entryOf(roomAfter, each) !== 'banned');
  const steps = stepsBetween(before, roomAfter, new Set([...settled, ...came]));
  assert(steps.length === 0 || roomBy !== undefined, 'a room changes by somebody');
  for (const step of steps) if (roomBy !== undefined) parts.push({ step, by: roomBy });
  return parts;
}

/**
 * Whoever goes with all clients, goes because somebody may have it out: itself, by leaving, or
 * somebody that may remove it. Others among the authors may remove a client of it, as the DS
 * judged when they proposed it.
 */
function refusalOfGoing(
  { members, removed, roomAfter, roomBefore }: CommitDeeds,
  participant: ParticipantId,
  may: (by: Author, step: Step) => string | undefined,
): string | undefined {
  const isBanned = entryOf(roomAfter, participant) === 'banned';
  // The ban was judged as a part of the room state.
  if (isBanned && entryOf(roomBefore, participant) !== 'banned') return undefined;
  const authors = removed
    .filter(({ leafIndex }) => members.get(leafIndex) === participant)
    .map(({ by }) => by);
  const verdicts = authors.map((by) => ({ by, sentence: may(by, goingStep(by, participant)) }));
  const isLetGo = verdicts.some(({ sentence }) => sentence === undefined);
  for (const { by, sentence } of verdicts) {
    if (sentence === undefined) continue;
    if (!isLetGo) return sentence;
    const partly = may(by, { kind: 'remove_client', participant });
    if (partly !== undefined) return sentence;
  }
  return undefined;
}

function goingStep({ who }: Author, participant: ParticipantId): Step {
  return who === participant ? { kind: 'leave' } : { kind: 'remove', participants: [participant] };
}

function participantAt(
  members: ReadonlyMap<number, ParticipantId>,
  leafIndex: number,
): ParticipantId {
  const participant = members.get(leafIndex);
  assert(participant !== undefined, 'MLS removes members only');
  return participant;
}
