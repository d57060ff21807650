import { monthOf } from '@roost/core/time';
import type {
  UpdateQueueConfigRequest,
  UpdateQueueConfigResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import { change, earOf } from '../desk.ts';
import type { Asker, Desk } from '../desk.ts';
import { assertNotFrozen, encodeRoster, withMember } from '../domain/roster.ts';
import { parseQueueConfig } from '../leaves.ts';
import { isFirst } from '../once.ts';
import type { Signed } from '../once.ts';
import { advanceGroup, putRoster } from '../store/groups.ts';

export async function updateQueueConfig(
  desk: Desk,
  request: UpdateQueueConfigRequest,
  signed: Signed & Asker,
): Promise<UpdateQueueConfigResponse> {
  const ear = earOf(desk, request);
  const queue = parseQueueConfig(request.queueConfig, signed.from, 'queue_config');
  return await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, signed.key);
    const { row, roster, member } = view;
    if (!(await isFirst(desk, tx, view, signed))) return { response: {} };
    assertNotFrozen(roster);
    const now = desk.clock.now();
    const next = withMember(roster, { ...member, queue, activeMonth: monthOf(now) });
    const version = row.rosterVersion + 1n;
    const members = encodeRoster(next);
    await Promise.all([
      advanceGroup(tx, row.id, row.epoch, version, monthOf(now)),
      putRoster(tx, row.id, ear.seal({ kind: 'roster', version }, members)),
    ]);
    const keep = (): void =>
      desk.vault.keepRoster(ear, { ...row, rosterVersion: version }, next, members.length);
    return { response: {}, keep };
  });
}
