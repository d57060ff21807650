import { malformed } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { groupTagOf, MESSAGE_ID_BYTES, signEnvelope } from '@roost/federation/envelope';
import { encodeCall } from '@roost/federation/payload';
import { destinationOf, groupOf } from '@roost/rpc/destination';
import { federatedMethod, readRequest } from './methods.ts';
import type { OwnKeys } from './own-keys.ts';

export interface CallSigner {
  readonly home: Domain;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly keys: Pick<OwnKeys, 'signer'>;
}

/** What is said is made here, of the request's own fields: a service cannot have anything else signed. */
export function signCall(
  { home, crypto, clock, keys }: CallSigner,
  call: {
    readonly destination: Domain;
    readonly method: string;
    readonly request: Uint8Array;
    readonly proof: Uint8Array;
  },
): { envelope: Uint8Array; payload: Uint8Array } {
  const { destination, method } = call;
  const found = federatedMethod(method);
  const { rule } = found;
  const decoded = readRequest(found, call.request);
  if (destinationOf(rule, decoded, home) !== destination) {
    throw malformed('destination', 'is another than that of the request');
  }
  const groupId = groupOf(rule, decoded);
  const between = { source: home, destination };
  const groupTag = groupId && groupTagOf(crypto, { ...between, groupId });
  const payload = encodeCall(call);
  const order = { ...between, method, createdMs: clock.now(), groupTag };
  const messageId = crypto.random(MESSAGE_ID_BYTES);
  return { envelope: signEnvelope(crypto, keys.signer, { ...order, messageId }, payload), payload };
}
