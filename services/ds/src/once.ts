import type { Executor } from '@roost/postgres/executor';
import { sealAnswer } from './answers.ts';
import { dayOf } from './config.ts';
import type { Desk } from './desk.ts';
import { findAccepted, insertAccepted } from './store/log.ts';
import type { MemberView } from './vault.ts';

/** What tells a signed request from any other: its key and its nonce. */
export interface Signed {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
}

/**
 * Notes a request that has no id of its own, in the transaction that carries it out. `false` where it
 * was carried out before: its answer was lost, or somebody replays it, and nothing is to change.
 */
export async function isFirst(
  desk: Desk,
  tx: Executor,
  { ear, row, member }: MemberView,
  { key, nonce }: Signed,
): Promise<boolean> {
  const digest = ear.digest('nonce', key, nonce);
  const [seen] = await findAccepted(tx, [{ id: row.id, digest }]);
  if (seen !== undefined) return false;
  const now = desk.clock.now();
  const answer = { epoch: row.epoch, acceptedAtMs: BigInt(now), sender: member.signatureKey };
  const sealed = sealAnswer(ear, digest, answer);
  await insertAccepted(tx, [{ id: row.id, digest, sealed }], dayOf(now));
  return true;
}
