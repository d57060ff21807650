import { malformed } from '@roost/core/failure';
import { callingQsClient } from '@roost/rpc/service';
import {
  NotificationRule,
  type SetNotificationRuleRequest,
} from '@roost/proto/roost/queue/v1/queue';
import { mutedUntil, type Rule } from '../domain/rule.ts';
import { setRule } from '../store/handles.ts';
import { spendNonce } from '../store/housekeeping.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { lockOwnHandles, parseHandleHashes } from './own-handles.ts';
import { callingNonce } from './parse.ts';

export function setNotificationRule(deps: Dependencies): QueueHandlers['setNotificationRule'] {
  const { database, clock, records } = deps;
  return async (request, context) => {
    const hashes = parseHandleHashes(deps, request.handles);
    const rule = parseRule(request, clock.now());
    const { clientId } = await records.client(callingQsClient(context));

    await database.transaction(async (tx) => {
      await spendNonce(tx, callingNonce(context), new Date(clock.now()));
      await lockOwnHandles(tx, clientId, hashes);
      await setRule(tx, hashes, rule);
    });

    return {};
  };
}

function parseRule({ rule, mutedUntilMs }: SetNotificationRuleRequest, nowMs: number): Rule {
  if (rule === NotificationRule.MUTED) return mutedUntil(mutedUntilMs, nowMs);
  if (mutedUntilMs !== 0n) throw malformed('muted_until_ms', 'is set for another rule');
  switch (rule) {
    case NotificationRule.ALL:
      return { kind: 'all' };
    case NotificationRule.SILENT:
      return { kind: 'silent' };
    default:
      throw malformed('rule', 'is none that there is');
  }
}
