import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { QsClientId, scopedWire, uuidOf, type Uuid } from '@roost/core/ids';
import { monthOf } from '@roost/core/time';
import { verifyWithLabel } from '@roost/crypto/labelled';
import type { Executor } from '@roost/postgres/executor';
import { callingQsUser } from '@roost/rpc/service';
import { queueUnknown } from '../records.ts';
import { spendNonce } from '../store/housekeeping.ts';
import { insertQueue } from '../store/queues.ts';
import { countClients, findClientByKey, insertClient, lockUser } from '../store/records.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { callingNonce, parseBytes } from './parse.ts';

export function createClient(deps: Dependencies): QueueHandlers['createClient'] {
  const { domain, database, crypto, records } = deps;
  return async (request, context) => {
    const wanted = {
      authKey: parseBytes(request.authKey, 32, 'auth_key'),
      queueKey: parseBytes(request.queueKey, 32, 'queue_key'),
    };
    const { signature } = request;
    if (!verifyWithLabel(crypto, wanted.authKey, 'QueueClient', wanted.queueKey, signature)) {
      throw malformed('signature', 'does not hold');
    }
    const { userId } = await records.user(callingQsUser(context));

    const nonce = callingNonce(context);
    const fresh = uuidOf(crypto.random(16));
    const uuid = await database.transaction((tx) =>
      ensureClient(tx, deps, { ...wanted, userId, uuid: fresh, nonce }),
    );

    return { qsClientId: scopedWire(QsClientId.of(uuid, domain)) };
  };
}

interface NewClient {
  readonly userId: bigint;
  readonly uuid: Uuid;
  readonly authKey: Uint8Array;
  readonly queueKey: Uint8Array;
  readonly nonce: Uint8Array;
}

async function ensureClient(
  tx: Executor,
  { limits, clock, writer }: Dependencies,
  { userId, uuid, authKey, queueKey, nonce }: NewClient,
): Promise<Uuid> {
  const [user] = await lockUser(tx, userId);
  if (user === undefined) throw queueUnknown();
  const [found] = await findClientByKey(tx, authKey);
  if (found !== undefined) {
    if (found.userId === userId && equal(found.queueKey, queueKey)) return found.uuid;
    throw keyUsed();
  }
  const [clients] = await countClients(tx, userId);
  if (clients !== undefined && clients.count >= BigInt(limits.clientsMax)) {
    throw new Failure('LIMIT_REACHED', `a user has at most ${limits.clientsMax} clients`);
  }
  // A client that was deleted since does not come back by what made it.
  await spendNonce(tx, nonce, new Date(clock.now()));
  const [made] = await insertClient(tx, uuid, userId, authKey, monthOf(clock.now()));
  if (made === undefined) throw keyUsed();
  const { ratchet, next, bytes } = await writer.begin(tx, made.clientId, queueKey);
  await insertQueue(tx, made.clientId, queueKey, ratchet, next, bytes);
  return uuid;
}

function keyUsed(): Failure {
  return new Failure('ALREADY_EXISTS', 'this auth_key belongs to another client record');
}
