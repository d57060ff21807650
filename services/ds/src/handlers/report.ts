import { Failure, malformed } from '@roost/core/failure';
import type {
  ReportBadCommitRequest,
  ReportBadCommitResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import type { Executor } from '@roost/postgres/executor';
import { dayOf } from '../config.ts';
import { change, earOf } from '../desk.ts';
import type { Decided, Desk } from '../desk.ts';
import { badCommitOf, encodeReports, withReport } from '../domain/reports.ts';
import type { BadCommit } from '../domain/reports.ts';
import { participantsOf } from '../domain/roster.ts';
import { assertHeard } from '../standing.ts';
import { putReports } from '../store/reports.ts';
import { reportsOf } from '../suspects.ts';
import type { MemberView } from '../vault.ts';

export async function reportBadCommit(
  desk: Desk,
  request: ReportBadCommitRequest,
  key: Uint8Array,
): Promise<ReportBadCommitResponse> {
  const ear = earOf(desk, request);
  const kind = badCommitOf(request.kind);
  if (kind === undefined) throw malformed('kind', 'is none of the kinds of bad commits');
  return await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, key);
    return await decide(desk, tx, view, { epoch: request.epoch, kind });
  });
}

async function decide(
  desk: Desk,
  tx: Executor,
  view: MemberView,
  { epoch, kind }: { readonly epoch: bigint; readonly kind: BadCommit },
): Promise<Decided<ReportBadCommitResponse>> {
  const { ear, row, roster, member } = view;
  assertHeard(view);
  if (epoch > row.epoch) {
    throw new Failure('EPOCH_UNKNOWN', 'the epoch is not reached yet', { currentEpoch: row.epoch });
  }
  if (epoch === 0n || epoch < member.joinedEpoch) {
    throw malformed('epoch', 'is none that a commit led to while you were in the group');
  }
  const before = await reportsOf(tx, view);
  const report = { participant: member.participant, kind };
  const participants = participantsOf(roster.members).length;
  const after = withReport(before, { epoch, report, participants });
  if (after === before) return { response: {} };
  const sealed = ear.seal({ kind: 'reports' }, encodeReports(after));
  await putReports(tx, row.id, sealed, dayOf(desk.clock.now()));
  desk.events.badCommitReported();
  return { response: {} };
}
