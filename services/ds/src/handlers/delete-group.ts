import { encodeGroupEvent } from '@roost/bus/group-event';
import { Failure } from '@roost/core/failure';
import type { Executor } from '@roost/postgres/executor';
import type {
  DeleteGroupRequest,
  DeleteGroupResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import { change, draftOf, earOf } from '../desk.ts';
import type { Decided, Desk } from '../desk.ts';
import { participantsOf } from '../domain/roster.ts';
import { toOthers } from '../fan-out.ts';
import { assertHeard } from '../standing.ts';
import { deleteGroup as deleteRows, findTombstone } from '../store/groups.ts';
import { deleteClosedHeads } from '../store/outbox.ts';
import type { MemberView } from '../vault.ts';

export async function deleteGroup(
  desk: Desk,
  request: DeleteGroupRequest,
  key: Uint8Array,
): Promise<DeleteGroupResponse> {
  const ear = earOf(desk, request);
  const digest = ear.digest('delete', key);
  return await change(desk, ear, async (tx) => {
    const tombstone = await findTombstone(tx, ear.groupId.uuid);
    // Its deleter asks again: it is the only one who can be told apart from strangers.
    if (tombstone !== undefined && desk.crypto.equal(tombstone, digest)) return { response: {} };
    const view = await desk.vault.lockAsMember(tx, ear, key);
    return await decide(desk, tx, { view, digest });
  });
}

interface Submitted {
  readonly view: MemberView;
  readonly digest: Uint8Array;
}

async function decide(
  desk: Desk,
  tx: Executor,
  { view, digest }: Submitted,
): Promise<Decided<DeleteGroupResponse>> {
  const { ear, row, roster, member } = view;
  assertHeard(view);
  if (participantsOf(roster.members).length > 1) {
    throw new Failure('NOT_ALLOWED', 'only the last in a group deletes it; the others leave it');
  }
  const groupEvent = encodeGroupEvent({
    kind: 'group-deleted',
    groupId: ear.groupId,
    epoch: row.epoch,
    acceptedAtMs: BigInt(desk.clock.now()),
  });
  const draft = await draftOf(desk, tx, ear);
  draft.add(ear.groupId, { recipients: toOthers(roster.members, member.leafIndex), groupEvent });
  await draft.write(tx);
  await deleteRows(tx, row.id, digest);
  await deleteClosedHeads(tx, row.id);
  return { response: {}, partitions: draft.partitions };
}
