/**
 * The judgement over what clients wrote down. Pure: it knows nothing of how a history came about.
 */
import type { Entry, Level, Membership, Message } from './entry.ts';

/** What must not be, by what it is. */
export type Rule =
  | 'lost'
  | 'doubled'
  | 'invented'
  | 'refused, and arrived'
  | 'out of order'
  | 'let in'
  | 'two commits of an epoch'
  | 'a gap in a queue'
  | 'a queue changed'
  | 'a token twice'
  | 'a KeyPackage twice';

export interface Violation {
  readonly rule: Rule;
  readonly sentence: string;
}

/** Everything in a history that must not be. */
export function judge(history: readonly Entry[]): Violation[] {
  return [
    ...judgeMessages(history, 'text'),
    ...judgeMessages(history, 'queue'),
    ...judgeOrder(history, 'text'),
    ...judgeOrder(history, 'queue'),
    ...judgeCommits(history),
    ...judgeQueues(history),
    ...judgeOnce(history),
    ...history.flatMap((each) =>
      each.kind === 'intruded'
        ? [violation('let in', `${each.by} came through with ${each.into}`)]
        : [],
    ),
  ];
}

/** A time in which somebody was in a group, by epochs and by lines of the history. */
interface Stint {
  readonly fromEpoch: number;
  readonly removingAt: number;
  readonly toEpoch: number;
  /** They were put out before they could enter, and take nothing more: what comes later finds no queue. */
  readonly isBarred: boolean;
}

type Stints = ReadonlyMap<string, readonly Stint[]>;

/** A queue is in a group from its Welcome on; whoever reads it, from the moment that they followed it. */
function stintsOf(history: readonly Entry[], level: Level): Stints {
  const joined = new Map<string, Set<number>>();
  const removals = new Map<string, { removingAt: number; toEpoch: number }[]>();
  const barred = new Set<string>();
  for (const [at, entry] of history.entries()) {
    if (entry.kind === 'joined' && (entry.seenBy ?? level) === level) {
      const epochs = joined.get(memberKey(entry)) ?? new Set();
      joined.set(memberKey(entry), epochs.add(entry.epoch));
    }
    if (entry.kind === 'removing') {
      const all = removals.get(memberKey(entry)) ?? [];
      removals.set(memberKey(entry), [...all, { removingAt: at, toEpoch: Infinity }]);
    }
    // Who was not put out has no such excuse.
    const isOut = entry.kind === 'barred' && removals.has(memberKey(entry));
    if (isOut) barred.add(`${memberKey(entry)} ${entry.epoch}`);
    const last = entry.kind === 'removed' ? removals.get(memberKey(entry))?.at(-1) : undefined;
    if (entry.kind === 'removed' && last !== undefined) last.toEpoch = entry.epoch;
  }
  const never = { removingAt: Infinity, toEpoch: Infinity };
  return new Map(
    [...joined].map(([key, epochs]) => [
      key,
      [...epochs].map((fromEpoch) => {
        // They may hear of it late that they were taken in: when they are out again.
        const end = removals.get(key)?.find(({ toEpoch }) => toEpoch > fromEpoch);
        const isBarred = end !== undefined && barred.has(`${key} ${fromEpoch}`);
        return { fromEpoch, isBarred, ...(end ?? never) };
      }),
    ]),
  );
}

/** A message by all that was written down of it. */
interface Told {
  readonly by: string;
  readonly group: string;
  readonly what: string;
  acceptedAt: number;
  epoch: number;
  isRefused: boolean;
}

function judgeMessages(history: readonly Entry[], level: Level): Violation[] {
  const stints = stintsOf(history, level);
  const told = toldOf(history, level);
  const arrivals = new Map<string, Map<string, number>>();
  const found: Violation[] = [];
  for (const entry of history) {
    if (entry.kind !== 'arrived' || entry.level !== level) continue;
    const { client, group, what, epoch } = entry;
    const counts = arrivals.get(memberKey(entry)) ?? new Map<string, number>();
    arrivals.set(memberKey(entry), counts);
    const count = (counts.get(what) ?? 0) + 1;
    counts.set(what, count);
    const message = told.get(messageKey(entry));
    if (count === 2) found.push(violation('doubled', `${client} got ${what} of ${group} twice`));
    if (message === undefined) {
      found.push(violation('invented', `${client} got ${what} of ${group}, which nobody sent`));
    } else if (message.isRefused && message.acceptedAt === Infinity) {
      found.push(violation('refused, and arrived', `${client} got ${what} of ${group}`));
    }
    const made = epoch ?? message?.epoch ?? 0;
    const isIn = (stints.get(memberKey(entry)) ?? []).some(({ toEpoch }) => made < toEpoch);
    if (!isIn) {
      found.push(violation('let in', `${client} got ${what} of ${group} and is no member`));
    }
  }
  for (const message of told.values()) {
    found.push(...judgeArrival(message, stints, arrivals));
  }
  return found;
}

/** Whoever was in the group all the time has an accepted message. */
function judgeArrival(
  { by, group, what, epoch, acceptedAt }: Told,
  stints: Stints,
  arrivals: ReadonlyMap<string, ReadonlyMap<string, number>>,
): Violation[] {
  if (acceptedAt === Infinity) return [];
  return [...stints].flatMap(([key, times]) => {
    const { client, ...place } = memberOf(key);
    if (place.group !== group || client === by) return [];
    const mustHave = times.some(
      ({ fromEpoch, toEpoch, removingAt, isBarred }) =>
        !isBarred && fromEpoch <= epoch && epoch < toEpoch && acceptedAt < removingAt,
    );
    if (!mustHave || (arrivals.get(key)?.get(what) ?? 0) > 0) return [];
    return [violation('lost', `${what} of ${group}, accepted from ${by}, never reached ${client}`)];
  });
}

function toldOf(history: readonly Entry[], level: Level): Map<string, Told> {
  const told = new Map<string, Told>();
  for (const [at, entry] of history.entries()) {
    if (!('level' in entry) || entry.level !== level) continue;
    if (entry.kind === 'sending' && !told.has(messageKey(entry))) {
      const { client: by, group, what } = entry;
      const nothing = { acceptedAt: Infinity, epoch: 0, isRefused: false };
      told.set(messageKey(entry), { by, group, what, ...nothing });
    }
    const message = told.get(messageKey(entry));
    if (message === undefined) continue;
    if (entry.kind === 'refused') message.isRefused = true;
    if (entry.kind === 'accepted') {
      message.acceptedAt = Math.min(message.acceptedAt, at);
      message.epoch = entry.epoch;
    }
  }
  return told;
}

/** All members have one order; and everybody's texts come as they were said. */
function judgeOrder(history: readonly Entry[], level: Level): Violation[] {
  const orders = new Map<string, string[]>();
  const said = new Map<string, string[]>();
  const add = (to: Map<string, string[]>, key: string, what: string): void => {
    const list = to.get(key) ?? [];
    to.set(key, list);
    list.push(what);
  };
  for (const entry of history) {
    if (!('level' in entry) || entry.level !== level) continue;
    if (entry.kind === 'arrived') add(orders, memberKey(entry), entry.what);
    // What a client does by itself it may do beside what it is told to do.
    if (entry.kind === 'sending' && level === 'text') add(said, memberKey(entry), entry.what);
  }
  const found: Violation[] = [];
  const all = [...orders].map(([key, order]) => ({ ...memberOf(key), order }));
  for (const [at, one] of all.entries()) {
    const rivals = all.slice(at + 1).filter(({ group }) => group === one.group);
    for (const other of rivals) {
      const wrong = firstDisorder(one.order, other.order);
      if (wrong === undefined) continue;
      const who = `${one.client} and ${other.client} disagree where`;
      found.push(violation('out of order', `${who} ${wrong} of ${one.group} stands`));
    }
    for (const [key, list] of said) {
      const { client, group } = memberOf(key);
      const wrong = group === one.group ? firstDisorder(list, one.order) : undefined;
      if (wrong === undefined) continue;
      const what = `${one.client} got ${wrong} of ${group} otherwise than ${client} said it`;
      found.push(violation('out of order', what));
    }
  }
  return found;
}

/** The first of what is in both lists that does not follow in the other as it does in the one. */
function firstDisorder(one: readonly string[], other: readonly string[]): string | undefined {
  const places = new Map<string, number>();
  for (const [at, what] of other.entries()) if (!places.has(what)) places.set(what, at);
  let last = -1;
  for (const what of new Set(one)) {
    const at = places.get(what);
    if (at === undefined) continue;
    if (at < last) return what;
    last = at;
  }
  return undefined;
}

function judgeCommits(history: readonly Entry[]): Violation[] {
  const winners = new Map<string, Set<string>>();
  for (const entry of history) {
    const isWinner = entry.kind === 'won' || (entry.kind === 'arrived' && entry.isCommit === true);
    if (!isWinner || entry.epoch === undefined) continue;
    const key = `${entry.group}, epoch ${entry.epoch}`;
    winners.set(key, (winners.get(key) ?? new Set()).add(entry.what));
  }
  return [...winners].flatMap(([where, whats]) =>
    whats.size === 1
      ? []
      : [violation('two commits of an epoch', `${where}: ${[...whats].join(', ')}`)],
  );
}

/** What follows the last entry that was read is the next one; what is read again is the same. */
function judgeQueues(history: readonly Entry[]): Violation[] {
  const queues = new Map<string, Map<number, string>>();
  const found: Violation[] = [];
  for (const entry of history) {
    if (entry.kind !== 'read') continue;
    const { client, queue, sequence, what } = entry;
    const where = `${client}'s ${queue}`;
    const read = queues.get(where) ?? new Map<number, string>();
    queues.set(where, read);
    const before = read.get(sequence);
    if (before === undefined && read.size > 0 && !read.has(sequence - 1)) {
      found.push(violation('a gap in a queue', `${where} has no ${sequence - 1}`));
    }
    if (before !== undefined && before !== what) {
      found.push(violation('a queue changed', `${where} has two of ${sequence}`));
    }
    read.set(sequence, what);
  }
  return found;
}

function judgeOnce(history: readonly Entry[]): Violation[] {
  const [tokens, packages] = [new Set<string>(), new Set<string>()];
  const found: Violation[] = [];
  for (const entry of history) {
    if (entry.kind === 'passed') {
      const what = `${entry.token} passed again, for ${entry.path}`;
      if (tokens.has(entry.token)) found.push(violation('a token twice', what));
      tokens.add(entry.token);
    }
    if (entry.kind === 'claimed' && !entry.isLastResort) {
      const { what } = entry;
      if (packages.has(what))
        found.push(violation('a KeyPackage twice', `${what} was given twice`));
      packages.add(what);
    }
  }
  return found;
}

function violation(rule: Rule, sentence: string): Violation {
  return { rule, sentence };
}

function memberKey({ client, group }: Membership): string {
  return `${client} ${group}`;
}

function memberOf(key: string): Membership {
  const at = key.indexOf(' ');
  return { client: key.slice(0, at), group: key.slice(at + 1) };
}

function messageKey({ group, what }: Message): string {
  return `${group} ${what}`;
}
