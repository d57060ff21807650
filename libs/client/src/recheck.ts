import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { decodeAddedLeaf } from '@roost/identity/leaf';
import type { Core } from './core.ts';
import { peerArrived } from './friends.ts';
import { isTransient, type Outcome } from './lanes.ts';
import type { Turn } from './ledger.ts';
import type { DeclaredLeaf } from './links.ts';
import { membersAfter, usersOf } from './members.ts';
import type { ClientState } from './mls.ts';
import { type Group, groups, type Member, states } from './state.ts';
import { type Task, tasks } from './task.ts';
import { forgedLeaves, tidyNow, unjudgedDomains } from './tidy.ts';

type Recheck = Task & { kind: 'recheck' };

/**
 * Who did not prove who they are may be signed for by a key that is newer than those we knew. Who is forged by the keys
 * that their homeserver has now is told, and removed by whoever may; where it cannot be asked nobody is accused, and
 * it is asked again.
 */
export async function performRecheck(core: Core, key: string, task: Recheck): Promise<Outcome> {
  const trouble = await askAgain(core, task.chat);
  // Where it is our own homeserver that does not answer, nothing is said of others.
  const isOurs = isTransient(trouble) && trouble?.reason !== 'PEER_UNAVAILABLE';
  const waitsFor = await core.ledger.turn((turn) => {
    const unjudged = judgeAgain(core, turn, task);
    const [first] = unjudged;
    if (first === undefined) {
      core.lanes.finish(turn, key);
      turn.after(() => core.lanes.wake(task.chat));
    } else if (task.isTold !== true && !isOurs) {
      for (const domain of unjudged) {
        core.news.put(turn, { kind: 'unjudged', chat: task.chat, domain });
      }
      turn.put(tasks, key, { ...task, isTold: true });
    }
    return first;
  });
  if (waitsFor === undefined) return 'on';
  if (isTransient(trouble)) throw trouble;
  return { waitsFor };
}

/** Gets what members are to be judged by; returns why it could not be had of all. */
async function askAgain(core: Core, chat: string): Promise<Failure | undefined> {
  const [group, state] = [core.ledger.get(groups, chat), core.ledger.get(states, chat)];
  if (group === undefined || state === undefined) return undefined;
  try {
    await core.trust.judge(() => {
      const members = judgedAgain(core, group, state);
      if (members.every(({ identity }) => identity !== undefined)) return;
      throw new Failure('UNAUTHENTICATED', 'somebody in a group does not prove who they are');
    });
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  return undefined;
}

/** Writes down who is who by what is known now; returns whose keys are missing still. */
function judgeAgain(core: Core, turn: Turn, { chat, isTold }: Recheck): readonly string[] {
  const [group, state] = [turn.get(groups, chat), turn.get(states, chat)];
  if (group === undefined || state === undefined || group.atOdds !== undefined) return [];
  const next = { ...group, members: judgedAgain(core, group, state) };
  turn.put(groups, chat, next);
  for (const [user, member] of usersOf(next)) {
    if (usersOf(group).has(user) || member.identity === undefined) continue;
    const name = member.identity.userName;
    if (next.kind === 'dm') peerArrived(core, turn, next, member);
    else core.news.put(turn, { kind: 'added', chat, name, by: '' });
  }
  const forged = forgedLeaves(next).length;
  if (forged > forgedLeaves(group).length || (forged > 0 && isTold !== true)) {
    core.news.put(turn, { kind: 'forged', chat });
  }
  if (forged > 0) tidyNow(core, turn, chat);
  return unjudgedDomains(next);
}

/** The members of a group; those who did not prove it before get another chance. */
function judgedAgain(core: Core, group: Group, state: ClientState): Member[] {
  const known = group.members.filter(({ identity }) => identity !== undefined);
  const declared = new Map<string, DeclaredLeaf>();
  for (const { signatureKey, addedLeaf } of group.members) {
    if (addedLeaf.length > 0) declared.set(toHex(signatureKey), decodeAddedLeaf(addedLeaf));
  }
  return membersAfter(core, { ...group, members: known }, state, declared);
}
