import { equal } from '@roost/core/bytes';
import { scopedWire } from '@roost/core/ids';
import { NotificationRule } from '@roost/proto/roost/queue/v1/queue';
import type { Core } from './core.ts';
import { publishTokens } from './friends.ts';
import { queueConfigOf, registerHandle } from './groups.ts';
import type { Outcome } from './lanes.ts';
import { type Notifications, notificationsNow } from './settings.ts';
import { leafSigner, qsClientSigner } from './signers.ts';
import { markBehind } from './standing.ts';
import { groups } from './state.ts';
import { isShared } from './handles.ts';
import { type Task, tasks } from './task.ts';

type Setting = Task & { kind: 'notify' | 'silence' };

/** Tells the QS what is set for a chat now; what was set before that and not told is over. */
export async function performSetting(core: Core, key: string, task: Setting): Promise<Outcome> {
  const { caller, ledger } = core;
  const group = ledger.get(groups, task.chat);
  if (group?.standing !== 'active') {
    await ledger.turn((turn) => core.lanes.finish(turn, key));
    return 'on';
  }
  if (isShared(ledger, task.chat, group.leaf.handle) || task.moved !== undefined) {
    await moveHandle(core, key, task);
    return 'on';
  }
  const handles = [group.leaf.handle];
  const isSilenced = group.isSilenced === true;
  const { queue } = caller.services;
  const price = { token: 'general' as const, sign: qsClientSigner(core) };
  if (task.kind === 'silence') {
    const request = { handles, silenced: isSilenced };
    await caller.ask(price, (options) => queue.silenceHandles(request, options));
  } else {
    const request = { handles, ...ruleOf(notificationsNow(core, group.notifications)) };
    await caller.ask(price, (options) => queue.setNotificationRule(request, options));
  }
  await ledger.turn((turn) => {
    core.lanes.finish(turn, key);
    // What was committed meanwhile is read from the log.
    if (task.kind === 'silence' && !isSilenced) markBehind(core, turn, task.chat);
  });
  return 'on';
}

/** Tells the QS which tokens open our KeyPackages. */
export async function performTokens(core: Core, key: string): Promise<Outcome> {
  await publishTokens(core);
  await core.ledger.turn((turn) => core.lanes.finish(turn, key));
  return 'on';
}

/**
 * The handle of a last-resort KeyPackage may serve several groups: before anything is set for one of
 * them, it gets a handle of its own.
 */
async function moveHandle(core: Core, key: string, task: Setting): Promise<void> {
  const { caller, crypto, ledger } = core;
  if (task.moved === undefined) {
    const moved = { handle: crypto.random(32), pushKey: crypto.random(32) };
    await ledger.turn((turn) => turn.put(tasks, key, { ...task, moved }));
    return;
  }
  const group = ledger.get(groups, task.chat);
  if (group === undefined) return;
  const leaf = { ...group.leaf, ...task.moved };
  await registerHandle(core, group.id, leaf);
  const request = {
    groupId: scopedWire(group.id),
    earKey: group.keys.earKey,
    queueConfig: queueConfigOf(core, leaf),
  };
  const price = { token: 'general' as const, sign: leafSigner(leaf) };
  await caller.ask(price, (options) =>
    caller.services.delivery.updateQueueConfig(request, options),
  );
  await ledger.turn((turn) => {
    const now = turn.get(groups, task.chat);
    if (now !== undefined && equal(now.leaf.signing.publicKey, leaf.signing.publicKey)) {
      turn.put(groups, task.chat, { ...now, leaf });
    }
    const { moved: _, ...rest } = task;
    turn.put(tasks, key, rest);
  });
}

function ruleOf(notifications: Notifications) {
  switch (notifications.kind) {
    case 'all':
      return { rule: NotificationRule.ALL, mutedUntilMs: 0n };
    case 'silent':
      return { rule: NotificationRule.SILENT, mutedUntilMs: 0n };
    case 'muted':
      return { rule: NotificationRule.MUTED, mutedUntilMs: BigInt(notifications.untilMs) };
  }
}
