import { Failure } from '@roost/core/failure';
import { assert } from '@roost/core/assert';
import { treeBytes } from '@roost/mls/public-group';
import type {
  GetGroupInfoRequest,
  GetGroupInfoResponse,
  GetJoinInfoRequest,
  GetJoinInfoResponse,
  GetLogRequest,
  GetLogResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import { earOf, look } from '../desk.ts';
import type { Desk } from '../desk.ts';
import { decodeJoinInfo } from '../join-info.ts';
import { linkOf } from '../leaves.ts';
import { logPage } from '../log-events.ts';
import { findJoinInfo } from '../store/groups.ts';
import { suspectsOf } from '../suspects.ts';
import { groupUnknown } from '../vault.ts';

export async function getJoinInfo(
  desk: Desk,
  request: GetJoinInfoRequest,
  key: Uint8Array,
): Promise<GetJoinInfoResponse> {
  const ear = earOf(desk, request);
  return await look(desk, async (tx) => {
    const { row, member } = await desk.vault.lookAsMember(tx, ear, key);
    // To others than its joiners, an epoch is none that there is.
    if (member.joinedEpoch !== request.epoch) throw groupUnknown();
    const sealed = await findJoinInfo(tx, row.id, request.epoch);
    if (sealed === undefined) {
      throw new Failure('EPOCH_TOO_OLD', 'what joiners of this epoch need is not kept any more', {
        currentEpoch: row.epoch,
      });
    }
    const bytes = ear.open({ kind: 'join-info', epoch: request.epoch }, sealed);
    assert(bytes !== undefined, 'the key that opens the roster opens the join info');
    const { tree, links } = decodeJoinInfo(bytes);
    return { ratchetTree: { tls: tree }, links };
  });
}

export async function getLog(
  desk: Desk,
  request: GetLogRequest,
  key: Uint8Array,
): Promise<GetLogResponse> {
  const ear = earOf(desk, request);
  return await look(desk, async (tx) => {
    const view = await desk.vault.lookAsMember(tx, ear, key);
    const currentEpoch = view.row.epoch;
    const page = await logPage(desk, tx, view, request.fromEpoch);
    if (page === undefined) {
      throw new Failure('EPOCH_TOO_OLD', 'the log does not reach back to this epoch any more', {
        currentEpoch,
      });
    }
    return { currentEpoch, ...page, suspectEpochs: await suspectsOf(tx, view) };
  });
}

/** What a member comes back by; a group that ended is looked at too. */
export async function getGroupInfo(
  desk: Desk,
  request: GetGroupInfoRequest,
  key: Uint8Array,
): Promise<GetGroupInfoResponse> {
  const ear = earOf(desk, request);
  return await look(desk, async (tx) => {
    const view = await desk.vault.lookAsMember(tx, ear, key);
    const group = await desk.vault.state(tx, ear, view.row);
    return {
      groupInfo: { tls: group.groupInfoTls },
      ratchetTree: { tls: treeBytes(group) },
      links: view.roster.members.map(linkOf),
      suspectEpochs: await suspectsOf(tx, view),
    };
  });
}
