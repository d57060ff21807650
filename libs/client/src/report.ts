import { Failure } from '@roost/core/failure';
import { scopedWire } from '@roost/core/ids';
import type { BadCommitKind } from '@roost/proto/roost/delivery/v1/delivery';
import type { Core } from './core.ts';
import { isTransient } from './lanes.ts';
import { leafSigner } from './signers.ts';
import type { Group } from './state.ts';

/**
 * Tells the hub of a commit that it should not have let pass, by the epoch that it led to. A report that
 * the hub does not take changes nothing for us.
 */
export async function reportBadCommit(
  core: Core,
  group: Group,
  bad: { readonly epoch: bigint; readonly kind: BadCommitKind },
): Promise<void> {
  const { caller } = core;
  const request = { groupId: scopedWire(group.id), earKey: group.keys.earKey, ...bad };
  const price = { token: 'general' as const, sign: leafSigner(group.leaf) };
  await caller
    .ask(price, (options) => caller.services.delivery.reportBadCommit(request, options))
    .catch((error: unknown) => {
      if (!(error instanceof Failure) || isTransient(error)) throw error;
      core.report(error);
    });
}
