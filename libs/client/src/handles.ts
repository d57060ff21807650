import { equal } from '@roost/core/bytes';
import type { Ledger, Turn } from './ledger.ts';
import { groups, packages } from './state.ts';

/** Whether a handle of a group is another group's too, or that of a KeyPackage that is still out. */
export function isShared(on: Ledger | Turn, chat: string, handle: Uint8Array): boolean {
  const isOut = on.list(packages).some(([, { leaf }]) => equal(leaf.handle, handle));
  if (isOut) return true;
  return on.list(groups).some(([lane, { leaf, standing }]) => {
    return lane !== chat && standing !== 'gone' && equal(leaf.handle, handle);
  });
}
