import type { TokenClass } from '@roost/identity/issuer-keys';
import type { Rule } from '@roost/proto/roost/access/v1/access';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { TokenServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { isForClients, requireRule, tokenClassOf } from '@roost/rpc/access';
import { pathOf } from '@roost/rpc/definition';

const SERVED_AT_THE_EDGE = [
  AuthenticationServiceDefinition,
  TokenServiceDefinition,
  QueueServiceDefinition,
  DeliveryServiceDefinition,
];

/** The rule of every method that clients reach, by its exact path. */
const rules = new Map<string, Rule>();

for (const definition of SERVED_AT_THE_EDGE) {
  for (const method of Object.values(definition.methods)) {
    const path = pathOf(definition, method);
    const rule = requireRule(path, method);
    if (isForClients(rule)) rules.set(path, rule);
  }
}

/** The rule of a method that clients reach; `undefined` where there is none. */
export function clientRuleOf(path: string): Rule | undefined {
  return rules.get(path);
}

/** What a call costs; `undefined` where there is no such method: default deny. */
export function classOf(path: string): TokenClass | 'exempt' | undefined {
  const rule = rules.get(path);
  return rule && (tokenClassOf(rule) ?? 'exempt');
}
