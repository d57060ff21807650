import { Failure, type Reason } from '@roost/core/failure';
import { scopedWire } from '@roost/core/ids';
import type { Core } from './core.ts';
import { isShared } from './handles.ts';
import type { Outcome } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { pushSoon } from './push.ts';
import { SETTINGS_LANE } from './settings.ts';
import { qsClientSigner } from './signers.ts';
import { markBehind } from './standing.ts';
import { type Group, groups } from './state.ts';

const HANDLES_AT_ONCE_MAX = 100;

/** What the QS says where a handle is that of a KeyPackage of last resort, or another group's. */
const TAKEN: ReadonlySet<Reason> = new Set<Reason>(['ALREADY_EXISTS', 'ID_REUSED']);

/**
 * Tells a QS that was restored from a backup where our groups deliver to, and what is set for them: it may
 * know nothing of it, or what was set before. Deliveries by a handle that it does not know are dropped and
 * nobody hears of it, as members see handles. A group whose handle cannot be its own there gets another one.
 */
export async function performHandles(core: Core, key: string): Promise<Outcome> {
  const { ledger } = core;
  const active = ledger.list(groups).filter(([, { standing }]) => standing === 'active');
  const own = active.filter(([lane, { leaf }]) => !isShared(ledger, lane, leaf.handle));
  const isOurs = new Set<string>();
  for (let at = 0; at < own.length; at += HANDLES_AT_ONCE_MAX) {
    const some = own.slice(at, at + HANDLES_AT_ONCE_MAX);
    for (const lane of await registerSome(core, some)) isOurs.add(lane);
  }
  await ledger.turn((turn) => {
    core.lanes.finish(turn, key);
    for (const [lane] of active) tellAnew(core, turn, lane, isOurs.has(lane));
    pushSoon(core, turn);
  });
  return 'on';
}

/** The groups whose handles are registered for them alone. One that cannot be must not keep others from it. */
async function registerSome(
  core: Core,
  some: readonly (readonly [lane: string, group: Group])[],
): Promise<string[]> {
  const { caller } = core;
  const handles = some.map(([, { id, leaf }]) => ({
    handle: leaf.handle,
    binding: { groupId: scopedWire(id) },
  }));
  const price = { token: 'general' as const, sign: qsClientSigner(core) };
  try {
    await caller.ask(price, (options) =>
      caller.services.queue.registerHandles({ handles }, options),
    );
    return some.map(([lane]) => lane);
  } catch (error) {
    if (!(error instanceof Failure) || !TAKEN.has(error.reason)) throw error;
    if (some.length === 1) return [];
    const half = Math.ceil(some.length / 2);
    const first = await registerSome(core, some.slice(0, half));
    return [...first, ...(await registerSome(core, some.slice(half)))];
  }
}

/** What was committed while nothing was delivered is read from the log. */
function tellAnew(core: Core, turn: Turn, chat: string, isOurs: boolean): void {
  const group = turn.get(groups, chat);
  if (group?.standing !== 'active') return;
  const { lanes, crypto } = core;
  if (isOurs) {
    markBehind(core, turn, chat);
    if (group.notifications !== undefined) {
      lanes.submit(turn, SETTINGS_LANE, { kind: 'notify', chat });
    }
  } else {
    const moved = { handle: crypto.random(32), pushKey: crypto.random(32) };
    lanes.submit(turn, SETTINGS_LANE, { kind: 'notify', chat, moved });
  }
  if (group.isSilenced !== undefined) {
    lanes.submit(turn, SETTINGS_LANE, { kind: 'silence', chat });
  }
}
