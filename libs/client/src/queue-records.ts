import { QsClientId, QsUserId } from '@roost/core/ids';
import { signWithLabel } from '@roost/crypto/labelled';
import { emptyState } from '@roost/bus/queue';
import { accountOf, changeAccount, type Core } from './core.ts';
import { newKeySigner, qsUserSigner } from './signers.ts';
import { directReaders, queueReaders, SELF } from './state.ts';

/** Makes the pseudonymous records at the QS, where they are not made yet. Safe to repeat. */
export async function makeQueueRecords(core: Pick<Core, 'ledger' | 'crypto' | 'caller'>) {
  const { caller, crypto, ledger } = core;
  const { queue } = caller.services;
  const { qsUserKey, qsClientKey, queueKey } = accountOf(core);
  if (accountOf(core).qsUser === undefined) {
    const price = { token: 'general' as const, sign: newKeySigner(qsUserKey) };
    const request = { authKey: qsUserKey.publicKey };
    const { qsUserId } = await caller.ask(price, (options) => queue.createUser(request, options));
    const qsUser = QsUserId.parse(qsUserId, 'qs_user_id');
    await ledger.turn((turn) => changeAccount(turn, { qsUser }));
  }
  if (accountOf(core).qsClient === undefined) {
    const price = { token: 'general' as const, sign: qsUserSigner(core) };
    const queuePublic = queueKey.publicKey;
    const signature = signWithLabel(crypto, qsClientKey.privateKey, 'QueueClient', queuePublic);
    const request = { authKey: qsClientKey.publicKey, queueKey: queuePublic, signature };
    const { qsClientId } = await caller.ask(price, (o) => queue.createClient(request, o));
    const qsClient = QsClientId.parse(qsClientId, 'qs_client_id');
    await ledger.turn((turn) => {
      changeAccount(turn, { qsClient });
      turn.put(queueReaders, SELF, { next: 0n, state: emptyState });
      turn.put(directReaders, SELF, { next: 0n });
    });
  }
}
