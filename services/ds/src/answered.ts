import type { Executor } from '@roost/postgres/executor';
import { openAnswer } from './answers.ts';
import { openEntry } from './pending.ts';
import { findAccepted, readLog } from './store/log.ts';
import type { Opened } from './vault.ts';

/** What is said of an accepted commit or proposal. */
export interface Accepted {
  readonly epoch: bigint;
  readonly acceptedAtMs: bigint;
  /** What the hub proposed for the epoch that it led to. */
  readonly proposals: { readonly epoch: bigint; readonly event: Uint8Array }[];
}

/** What the same message of the same sender was answered before; the same again. */
export async function answeredBefore(
  tx: Executor,
  { ear, row }: Opened,
  digest: Uint8Array,
  sender: Uint8Array,
): Promise<Accepted | undefined> {
  const [earlier] = await findAccepted(tx, [{ id: row.id, digest }]);
  if (earlier === undefined) return undefined;
  const { epoch, acceptedAtMs, followed } = openAnswer(ear, digest, earlier.sealed, sender);
  if (followed === 0) return { epoch, acceptedAtMs, proposals: [] };
  const entries = await readLog(tx, row.id, epoch, epoch);
  const proposals = entries
    .slice(0, followed)
    .map((entry) => ({ epoch, event: openEntry(ear, entry) }));
  return { epoch, acceptedAtMs, proposals };
}
