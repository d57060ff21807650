import type { TokenClass } from '@roost/identity/issuer-keys';
import { Caller, TokenClass as RuleClass } from '@roost/proto/roost/access/v1/access';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { TokenServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { requireRule } from '@roost/rpc/access';
import { pathOf } from '@roost/rpc/definition';

const SERVED_AT_THE_EDGE = [
  AuthenticationServiceDefinition,
  TokenServiceDefinition,
  QueueServiceDefinition,
  DeliveryServiceDefinition,
];

/** What every method that clients reach costs, by its exact path: from the rules in the protobufs. */
const classes = new Map<string, TokenClass | 'exempt'>();

for (const definition of SERVED_AT_THE_EDGE) {
  for (const method of Object.values(definition.methods)) {
    const path = pathOf(definition, method);
    const { token, caller } = requireRule(path, method);
    if (caller === Caller.SERVICE || caller === Caller.OPERATOR) continue;
    if (token === RuleClass.GENERAL) classes.set(path, 'general');
    else if (token === RuleClass.CONTACT) classes.set(path, 'contact');
    else if (token === RuleClass.EXEMPT) classes.set(path, 'exempt');
  }
}

/** `undefined` where there is no such method: default deny. */
export function classOf(path: string): TokenClass | 'exempt' | undefined {
  return classes.get(path);
}
