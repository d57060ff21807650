import { assert } from '@roost/core/assert';
import type { Executor } from '@roost/postgres/executor';
import { NO_REPORTS, decodeReports, suspectEpochs } from './domain/reports.ts';
import type { Reports } from './domain/reports.ts';
import { findReports } from './store/reports.ts';
import type { MemberView, Opened } from './vault.ts';

/** What members reported of this group. */
export async function reportsOf(tx: Executor, { ear, row }: Opened): Promise<Reports> {
  const sealed = await findReports(tx, row.id);
  if (sealed === undefined) return NO_REPORTS;
  const bytes = ear.open({ kind: 'reports' }, sealed);
  assert(bytes !== undefined, 'the key that opens the roster opens the reports');
  return decodeReports(bytes);
}

/** The epochs that a member is warned of. */
export async function suspectsOf(tx: Executor, view: MemberView): Promise<bigint[]> {
  return suspectEpochs(await reportsOf(tx, view), view.member.joinedEpoch);
}
