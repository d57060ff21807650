import type { TokenClass } from '@roost/identity/issuer-keys';
import type { Rule } from '@roost/proto/roost/access/v1/access';
import { CLIENT_METHODS } from '@roost/rpc/client-methods';

/** The rule of a method that clients reach; `undefined` where there is none. */
export function clientRuleOf(path: string): Rule | undefined {
  return CLIENT_METHODS.get(path)?.rule;
}

/** What a call costs; `undefined` where there is no such method: default deny. */
export function classOf(path: string): TokenClass | 'exempt' | undefined {
  return CLIENT_METHODS.get(path)?.cost;
}
