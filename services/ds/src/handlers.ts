import type { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { callingKey } from '@roost/rpc/service';
import type { CallContext, Handlers } from '@roost/rpc/service';
import { assert } from '@roost/core/assert';
import type { Batcher } from './batcher.ts';
import type { Asker, Desk } from './desk.ts';
import { commit } from './handlers/commit.ts';
import { createGroup } from './handlers/create-group.ts';
import { deleteGroup } from './handlers/delete-group.ts';
import { findRooms, publishRoom, unpublishRoom } from './handlers/directory.ts';
import { getExternalJoinInfo, joinGroup } from './handlers/join-group.ts';
import { propose } from './handlers/propose.ts';
import { getGroupInfo, getJoinInfo, getLog } from './handlers/read.ts';
import { reportBadCommit } from './handlers/report.ts';
import { resync } from './handlers/resync.ts';
import { sendMessage } from './handlers/send-message.ts';
import { updateQueueConfig } from './handlers/update-queue-config.ts';
import type { Signed } from './once.ts';
import type { Outcome, Send } from './sender.ts';

export function deliveryHandlers(
  desk: Desk,
  batcher: Batcher<Send, Outcome>,
): Handlers<typeof DeliveryServiceDefinition> {
  return {
    getExternalSender: async () => ({ externalSender: desk.hub.externalSender }),
    createGroup: async (request, context) => await createGroup(desk, request, callingKey(context)),
    commit: async (request, context) => await commit(desk, request, callingKey(context)),
    getExternalJoinInfo: async (request) => await getExternalJoinInfo(desk, request),
    joinGroup: async (request, context) => await joinGroup(desk, request, askerOf(desk, context)),
    propose: async (request, context) => await propose(desk, request, callingKey(context)),
    sendMessage: async (request, context) =>
      await sendMessage(desk, batcher, request, callingKey(context)),
    getGroupInfo: async (request, context) =>
      await getGroupInfo(desk, request, callingKey(context)),
    resync: async (request, context) => await resync(desk, request, askerOf(desk, context)),
    reportBadCommit: async (request, context) =>
      await reportBadCommit(desk, request, callingKey(context)),
    publishRoom: async (request, context) => await publishRoom(desk, request, signedBy(context)),
    unpublishRoom: async (request, context) =>
      await unpublishRoom(desk, request, signedBy(context)),
    findRooms: async (request) => await findRooms(desk, request),
    getJoinInfo: async (request, context) => await getJoinInfo(desk, request, callingKey(context)),
    getLog: async (request, context) => await getLog(desk, request, callingKey(context)),
    updateQueueConfig: async (request, context) =>
      await updateQueueConfig(desk, request, {
        ...signedBy(context),
        ...askerOf(desk, context),
      }),
    deleteGroup: async (request, context) => await deleteGroup(desk, request, callingKey(context)),
  };
}

/** By which key a request is signed, and whose user's it is. */
function askerOf({ config }: Desk, context: CallContext): Asker {
  return { key: callingKey(context), from: context.source ?? config.domain };
}

function signedBy({ proof }: CallContext): Signed {
  assert(proof !== undefined, 'the rule of this method asks for a signature');
  return { key: proof.publicKey, nonce: proof.nonce };
}
