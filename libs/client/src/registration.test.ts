import { expect, test } from '@jest/globals';
import { Failure, type Reason } from '@roost/core/failure';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { GetHomeserverResponse } from '@roost/proto/roost/authentication/v1/authentication';
import type { Transport } from '@roost/rpc/call';
import { Ledger } from './ledger.ts';
import { draftAccount } from './registration.ts';
import { accounts } from './state.ts';
import type { Store } from './store.ts';

/** An account at a homeserver that refuses for these reasons first. */
async function drafted(...reasons: Reason[]) {
  const store: Store = {
    get: async () => undefined,
    list: async () => [],
    write: async () => undefined,
  };
  const ledger = await Ledger.open(store, [accounts]);
  const nothing = GetHomeserverResponse.decode(new Uint8Array(0));
  const homeserver = { ...nothing, domain: 'a.example', protocolVersion: 1 };
  const transport: Transport = {
    unary: async () => {
      const reason = reasons.shift();
      if (reason !== undefined) throw new Failure(reason, reason);
      return GetHomeserverResponse.encode(homeserver).finish();
    },
    stream: () => {
      throw new Error('nothing is followed before there is an account');
    },
  };
  return draftAccount({ ledger, crypto, transport }, { userName: 'ann' });
}

test('a homeserver that goes just then is asked once more who it is', async () => {
  expect((await drafted()).userName).toBe('ann@a.example');
  expect((await drafted('DRAINING')).userName).toBe('ann@a.example');
  await expect(drafted('DRAINING', 'UNAVAILABLE')).rejects.toThrow('UNAVAILABLE');
  await expect(drafted('RATE_LIMITED')).rejects.toThrow('RATE_LIMITED');
});
