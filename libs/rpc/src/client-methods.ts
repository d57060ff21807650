import { LimiterAway, type Rule } from '@roost/proto/roost/access/v1/access';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { TokenServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';

import { isForClients, requireRule, tokenClassOf } from './access.ts';
import { type MethodDefinition, pathOf } from './definition.ts';

/** A method that clients reach, as the edge and the token gate see it. */
export interface ClientMethod {
  readonly path: string;
  readonly rule: Rule;
  readonly definition: MethodDefinition;
  /** The service that has it: as, aas, qs or ds. */
  readonly service: string;
  readonly isStream: boolean;
  readonly cost: 'general' | 'contact' | 'exempt';
  /** Of a method that costs nothing: whether it goes on while nobody can count its calls. */
  readonly passesUncounted: boolean;
}

/**
 * Every method that clients reach, by its exact path: what the edge has routes for and the token gate
 * decides by. Whatever is not here is not there for clients.
 */
export const CLIENT_METHODS: ReadonlyMap<string, ClientMethod> = new Map(
  [
    AuthenticationServiceDefinition,
    TokenServiceDefinition,
    QueueServiceDefinition,
    DeliveryServiceDefinition,
  ].flatMap((definition) =>
    Object.values(definition.methods).flatMap((method): [string, ClientMethod][] => {
      const path = pathOf(definition, method);
      const rule = requireRule(path, method);
      if (!isForClients(rule)) return [];
      return [[path, clientMethod(path, rule, method)]];
    }),
  ),
);

/** The methods that other homeservers reach, by their exact paths, at the edge's listener for them. */
export const PEER_PATHS: readonly string[] = Object.values(PeerServiceDefinition.methods).map(
  (method) => pathOf(PeerServiceDefinition, method),
);

function clientMethod(path: string, rule: Rule, definition: MethodDefinition): ClientMethod {
  return {
    path,
    rule,
    definition,
    service: rule.service,
    isStream: definition.responseStream,
    cost: tokenClassOf(rule) ?? 'exempt',
    passesUncounted: rule.limiterAway === LimiterAway.PASS,
  };
}
