import { assert } from '@roost/core/assert';
import type { ClientId } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import type { Caller, SkewedClock } from './calls.ts';
import type { Lanes } from './lanes.ts';
import type { Ledger, Turn } from './ledger.ts';
import type { Mls } from './mls.ts';
import type { News } from './news.ts';
import { type Account, accounts, type Credentials, SELF } from './state.ts';
import type { Trust } from './trust.ts';

/** What every part of a running client works with. */
export interface Core {
  readonly ledger: Ledger;
  readonly crypto: Crypto;
  readonly clock: SkewedClock;
  readonly mls: Mls;
  readonly caller: Caller;
  readonly trust: Trust;
  readonly news: News;
  readonly lanes: Lanes;
  /** An error that is nobody's answer: a bug here or a server that misbehaves. */
  readonly report: (error: unknown) => void;
}

/** The account; it is there as soon as a client runs. */
export function accountOf({ ledger }: Pick<Core, 'ledger'>): Account {
  const account = ledger.get(accounts, SELF);
  assert(account !== undefined, 'a client has an account');
  return account;
}

export function credentialsOf(core: Pick<Core, 'ledger'>): Credentials {
  const { credentials } = accountOf(core);
  assert(credentials !== undefined, 'the account of a running client has credentials');
  return credentials;
}

export function ownClient(core: Pick<Core, 'ledger'>): ClientId {
  return credentialsOf(core).client;
}

export function changeAccount(turn: Turn, change: Partial<Account>): void {
  const account = turn.get(accounts, SELF);
  assert(account !== undefined, 'an account is changed after it was made');
  turn.put(accounts, SELF, { ...account, ...change });
}

/** Between 0 and 1, from the port for randomness. */
export function fraction(crypto: Crypto): number {
  return new DataView(crypto.random(4).buffer).getUint32(0) / 2 ** 32;
}
