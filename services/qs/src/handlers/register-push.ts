import { SEALED_REGISTRATION_BYTES, WRAPPED_KEY_BYTES } from '@roost/bus/push';
import { malformed } from '@roost/core/failure';
import { callingQsClient } from '@roost/rpc/service';
import { queueUnknown } from '../records.ts';
import { spendNonce } from '../store/housekeeping.ts';
import { deleteRegistration, putRegistration, putWraps } from '../store/push.ts';
import { lockForReader } from '../store/queues.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { parseHandleHashes } from './own-handles.ts';
import { callingNonce, parseBytes } from './parse.ts';

export function registerPush(deps: Dependencies): QueueHandlers['registerPush'] {
  const { database, clock, records } = deps;
  return async (request, context) => {
    const { sealedRegistration, wrappedKeys } = request;
    const isEnded = sealedRegistration.length === 0;
    if (isEnded && wrappedKeys.length > 0) throw malformed('wrapped_keys', 'are of nothing');
    const sealed = isEnded
      ? undefined
      : parseBytes(sealedRegistration, SEALED_REGISTRATION_BYTES, 'sealed_registration');
    const hashes = parseHandleHashes(
      deps,
      wrappedKeys.map(({ handle }) => handle),
    );
    const wraps = wrappedKeys.map(({ wrappedKey }) =>
      parseBytes(wrappedKey, WRAPPED_KEY_BYTES, 'wrapped_keys.wrapped_key'),
    );
    const { clientId } = await records.client(callingQsClient(context));

    await database.transaction(async (tx) => {
      await spendNonce(tx, callingNonce(context), new Date(clock.now()));
      // A client that was deleted meanwhile registers nothing.
      if ((await lockForReader(tx, clientId)) === undefined) throw queueUnknown();
      if (sealed === undefined) {
        await deleteRegistration(tx, clientId);
        return;
      }
      await putRegistration(tx, clientId, sealed);
      await putWraps(tx, clientId, hashes, wraps);
    });

    return {};
  };
}
