import { equal } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import { QsUserId, scopedWire, uuidOf } from '@roost/core/ids';
import { callingKey } from '@roost/rpc/service';
import { ensureUser } from '../store/records.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { parseBytes } from './parse.ts';

export function createUser(deps: Dependencies): QueueHandlers['createUser'] {
  const { domain, database, crypto } = deps;
  return async (request, context) => {
    const authKey = parseBytes(request.authKey, 32, 'auth_key');
    if (!equal(authKey, callingKey(context))) {
      throw malformed('auth_key', 'is not the key that signed the request');
    }

    const fresh = uuidOf(crypto.random(16));
    const uuid = await database.transaction((tx) => ensureUser(tx, fresh, authKey));

    return { qsUserId: scopedWire(QsUserId.of(uuid, domain)) };
  };
}
