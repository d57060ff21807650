import { Failure } from '@roost/core/failure';
import { scopedWire } from '@roost/core/ids';
import type { CommitConflict } from '@roost/proto/roost/delivery/v1/delivery';
import type { Core } from './core.ts';
import { queueConfigOf } from './groups.ts';
import { leafSigner, newKeySigner } from './signers.ts';
import type { Group, PendingCommit } from './state.ts';

/** Sends a commit by the method that it is for. */
export async function submit(
  core: Core,
  group: Group,
  pending: PendingCommit,
): Promise<'accepted' | CommitConflict> {
  const { result } = await ask(core, group, pending);
  if (result === undefined) throw new Failure('UNAVAILABLE', 'the answer says nothing');
  return result.$case === 'accepted' ? 'accepted' : result.value;
}

async function ask(core: Core, group: Group, pending: PendingCommit) {
  const { caller } = core;
  const { delivery } = caller.services;
  const { joinSecret, welcome, joiners, isResync } = pending;
  const common = {
    groupId: scopedWire(group.id),
    earKey: group.keys.earKey,
    commit: { tls: pending.commit },
    groupInfo: { tls: pending.groupInfo },
  };
  const asMember = { token: 'general' as const, sign: leafSigner(group.leaf) };
  if (isResync === true) {
    const request = { ...common, queueConfig: new Uint8Array(0) };
    return caller.ask(asMember, (options) => delivery.resync(request, options));
  }
  if (joinSecret === undefined) {
    const tls = welcome === undefined ? undefined : { tls: welcome };
    const request = { ...common, welcome: tls, joinerInfos: [...joiners] };
    return caller.ask(asMember, (options) => delivery.commit(request, options));
  }
  const asNewKey = { token: 'general' as const, sign: newKeySigner(group.leaf.signing) };
  return caller.ask(asNewKey, (options) => {
    const queueConfig = queueConfigOf(core, group.leaf);
    return delivery.joinGroup({ ...common, joinSecret, queueConfig }, options);
  });
}
