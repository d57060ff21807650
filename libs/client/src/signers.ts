import { assert } from '@roost/core/assert';
import type { Signer } from './calls.ts';
import { accountOf, type Core, ownClient } from './core.ts';
import type { OwnLeaf } from './state.ts';

/** As which key a request is signed, by what the rule of its method asks for. */

export function clientSigner(core: Pick<Core, 'ledger'>): Signer {
  const { privateKey } = accountOf(core).signing;
  return { key: { kind: 'client', client: ownClient(core) }, privateKey };
}

export function qsUserSigner(core: Pick<Core, 'ledger'>): Signer {
  const { qsUser, qsUserKey } = accountOf(core);
  assert(qsUser !== undefined, 'the QS user record was made');
  return { key: { kind: 'qs-user', qsUser }, privateKey: qsUserKey.privateKey };
}

export function qsClientSigner(core: Pick<Core, 'ledger'>): Signer {
  const { qsClient, qsClientKey } = accountOf(core);
  assert(qsClient !== undefined, 'the QS client record was made');
  return { key: { kind: 'qs-client', qsClient }, privateKey: qsClientKey.privateKey };
}

export function leafSigner({ signing }: OwnLeaf): Signer {
  const { publicKey, privateKey } = signing;
  return { key: { kind: 'leaf', publicKey }, privateKey };
}

export function newKeySigner(pair: Pair): Signer {
  const { publicKey, privateKey } = pair;
  return { key: { kind: 'new-key', publicKey }, privateKey };
}

interface Pair {
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
}
