import { printId, QsClientId, QsUserId } from '@roost/core/ids';
import { signWithLabel } from '@roost/crypto/labelled';
import { emptyState } from '@roost/bus/queue';
import { accountOf, changeAccount, type Core } from './core.ts';
import { afterRestore } from './restored.ts';
import type { Signer } from './calls.ts';
import { newKeySigner } from './signers.ts';
import { behind } from './standing.ts';
import { directReaders, packages, queueReaders, SELF } from './state.ts';

type Parts = Pick<Core, 'ledger' | 'crypto' | 'caller'>;

/** Makes the pseudonymous records at the QS, where they are not made yet. Safe to repeat. */
export async function makeQueueRecords(core: Parts): Promise<void> {
  const { ledger } = core;
  if (accountOf(core).qsUser === undefined) {
    const qsUser = await makeUser(core);
    await ledger.turn((turn) => changeAccount(turn, { qsUser }));
  }
  const { qsUser, qsClient: known } = accountOf(core);
  if (qsUser === undefined || known !== undefined) return;
  const qsClient = await makeClient(core, qsUser);
  await ledger.turn((turn) => {
    changeAccount(turn, { qsClient });
    turn.put(queueReaders, SELF, { next: 0n, state: emptyState });
    turn.put(directReaders, SELF, { next: 0n });
  });
}

/**
 * Makes them anew where the QS was restored from a backup of before they were made: it gives the record of a
 * key where it has one, and another id tells that it has not. Gives whether it was so. What lay in the queue
 * is lost. KeyPackages that may be out are not published again, but for those of last resort.
 */
export async function remakeQueueRecords(core: Core): Promise<boolean> {
  const { ledger, news } = core;
  const before = accountOf(core).qsUser;
  const qsUser = await makeUser(core);
  if (before === undefined || printId(before) === printId(qsUser)) return false;
  const qsClient = await makeClient(core, qsUser);
  await ledger.turn((turn) => {
    changeAccount(turn, { qsUser, qsClient });
    turn.put(queueReaders, SELF, { next: 0n, state: emptyState });
    for (const [key, each] of turn.list(packages)) {
      if (each.isLastResort) turn.put(packages, key, { ...each, isPublished: false });
    }
    news.put(turn, { kind: 'lost', count: 1 });
    behind(core, turn);
    afterRestore(core, turn);
  });
  return true;
}

/** The same key gets the same record. */
async function makeUser(core: Parts): Promise<QsUserId> {
  const { caller } = core;
  const { qsUserKey } = accountOf(core);
  const price = { token: 'general' as const, sign: newKeySigner(qsUserKey) };
  const request = { authKey: qsUserKey.publicKey };
  const { qsUserId } = await caller.ask(price, (options) =>
    caller.services.queue.createUser(request, options),
  );
  return QsUserId.parse(qsUserId, 'qs_user_id');
}

async function makeClient(core: Parts, qsUser: QsUserId): Promise<QsClientId> {
  const { caller, crypto } = core;
  const { qsUserKey, qsClientKey, queueKey } = accountOf(core);
  const { privateKey } = qsUserKey;
  const sign: Signer = { key: { kind: 'qs-user', qsUser }, privateKey };
  const queuePublic = queueKey.publicKey;
  const signature = signWithLabel(crypto, qsClientKey.privateKey, 'QueueClient', queuePublic);
  const request = { authKey: qsClientKey.publicKey, queueKey: queuePublic, signature };
  const { qsClientId } = await caller.ask({ token: 'general', sign }, (options) =>
    caller.services.queue.createClient(request, options),
  );
  return QsClientId.parse(qsClientId, 'qs_client_id');
}
