import { monthOf } from '@roost/core/time';
import type {
  UpdateQueueConfigRequest,
  UpdateQueueConfigResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import { sealAnswer } from '../answers.ts';
import { dayOf } from '../config.ts';
import { change, earOf } from '../desk.ts';
import type { Desk } from '../desk.ts';
import { assertNotFrozen, encodeRoster, withMember } from '../domain/roster.ts';
import { parseQueueConfig } from '../leaves.ts';
import { advanceGroup, putRoster } from '../store/groups.ts';
import { findAccepted, insertAccepted } from '../store/log.ts';

export async function updateQueueConfig(
  desk: Desk,
  request: UpdateQueueConfigRequest,
  { key, nonce }: { readonly key: Uint8Array; readonly nonce: Uint8Array },
): Promise<UpdateQueueConfigResponse> {
  const ear = earOf(desk, request);
  const queue = parseQueueConfig(request.queueConfig, desk.config.domain, 'queue_config');
  const digest = ear.digest('nonce', key, nonce);
  return await change(desk, ear, async (tx) => {
    const { row, roster, member } = await desk.vault.lockAsMember(tx, ear, key);
    const [seen] = await findAccepted(tx, [{ id: row.id, digest }]);
    if (seen !== undefined) {
      // The same request again, whose answer was lost: nothing is changed.
      return { response: {} };
    }
    assertNotFrozen(roster);
    const now = desk.clock.now();
    const next = withMember(roster, { ...member, queue, activeMonth: monthOf(now) });
    const version = row.rosterVersion + 1n;
    const members = encodeRoster(next);
    const answer = { epoch: row.epoch, acceptedAtMs: BigInt(now), sender: member.signatureKey };
    const sealed = sealAnswer(ear, digest, answer);
    await Promise.all([
      advanceGroup(tx, row.id, row.epoch, version, monthOf(now)),
      putRoster(tx, row.id, ear.seal({ kind: 'roster', version }, members)),
      insertAccepted(tx, [{ id: row.id, digest, sealed }], dayOf(now)),
    ]);
    const keep = (): void =>
      desk.vault.keepRoster(ear, { ...row, rosterVersion: version }, next, members.length);
    return { response: {}, keep };
  });
}
