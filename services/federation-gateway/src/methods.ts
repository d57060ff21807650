import { Failure } from '@roost/core/failure';
import { type ClientMethod, CLIENT_METHODS } from '@roost/rpc/client-methods';

/** A method that travels between homeservers, from the table of all rules; there is no other list. */
export function federatedMethod(path: string): ClientMethod {
  const method = CLIENT_METHODS.get(path);
  if (method?.rule.federated === true) return method;
  throw new Failure('METHOD_UNKNOWN', 'there is no such method');
}

/** The request of such a method; refuses what is none. */
export function readRequest({ definition }: ClientMethod, request: Uint8Array): unknown {
  try {
    return definition.requestType.decode(request);
  } catch (error) {
    throw new Failure('MALFORMED', 'the request is not the message of this method', {}, error);
  }
}
