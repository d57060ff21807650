import { BinaryReader } from '@bufbuild/protobuf/wire';
import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { Caller, LimiterAway, Rule, TokenClass } from '@roost/proto/roost/access/v1/access';

import { GATEWAY } from './addressed.ts';
import type { MethodDefinition } from './definition.ts';

/**
 * Who calls: clients over the edge, the operator over the internal listener, other homeservers over the
 * listener for federation, or a service.
 */
export type CallerName = 'edge' | 'operator' | 'peer' | (string & {});

/** The size of a request where its rule names none. */
export const REQUEST_BYTES_MAX = 65_536;

/** Field 50001 of MethodOptions, length-delimited: where ts-proto leaves `roost.access.v1.rule`. */
const RULE_TAG = (50_001 << 3) | 2;

/** The access rule of a method; there is no default. */
export function ruleOf(method: MethodDefinition): Rule | undefined {
  // oxlint-disable-next-line no-underscore-dangle -- ts-proto's own name for it.
  const raw = method.options._unknownFields?.[RULE_TAG]?.at(-1);
  if (raw === undefined) return undefined;
  const reader = new BinaryReader(raw);
  return Rule.decode(reader, reader.uint32());
}

/** The rule of a method that is about to be served: whole, or the process does not start. */
export function requireRule(path: string, method: MethodDefinition): Rule {
  const rule = ruleOf(method);
  assert(rule !== undefined, `${path} has an access rule`);
  const isWhole =
    rule.token !== TokenClass.UNSPECIFIED &&
    rule.caller !== Caller.UNSPECIFIED &&
    rule.service !== '';
  assert(isWhole, `the access rule of ${path} names token, caller and service`);
  assert(
    (rule.caller === Caller.SERVICE) === rule.services.length > 0,
    `${path} names services if and only if services call it`,
  );
  const isCounted = rule.token === TokenClass.EXEMPT && isForClients(rule);
  assert(
    (rule.limiterAway !== LimiterAway.UNSPECIFIED) === isCounted,
    `${path} says what happens while the limiter is away if and only if clients call it for nothing`,
  );
  assert(
    rule.federated === (rule.destination !== ''),
    `${path} says where its requests go if and only if they go to other homeservers`,
  );
  const canTravel = TRAVELLERS.has(rule.caller) && !method.responseStream;
  assert(!rule.federated || canTravel, `${path} can be answered by a homeserver that knows nobody`);
  return rule;
}

/** Who calls can be judged by the request alone: no other homeserver knows the keys of our clients. */
const TRAVELLERS: ReadonlySet<Caller> = new Set([
  Caller.ANYONE,
  Caller.NEW_KEY,
  Caller.GROUP_MEMBER,
]);

/** Whether a method is for clients, over the edge. */
export function isForClients({ caller }: Rule): boolean {
  return FOR_CLIENTS.has(caller);
}

const FOR_CLIENTS: ReadonlySet<Caller> = new Set([
  ...TRAVELLERS,
  ...[Caller.CLIENT, Caller.QS_USER, Caller.QS_CLIENT],
]);

/** How the edge says that a token was spent on a call, and of which class. */
export const TOKEN_CLASS_HEADER = 'roost-token-class';

/** The class of token that a method costs, by its name; `undefined` where it costs none. */
export function tokenClassOf({ token }: Rule): 'general' | 'contact' | undefined {
  if (token === TokenClass.GENERAL) return 'general';
  return token === TokenClass.CONTACT ? 'contact' : undefined;
}

/**
 * Behind the edge: refuses a call on which the edge did not spend what its rule asks for. So an edge
 * that forgot the token gate opens nothing.
 */
export function assertPaid(rule: Rule, header: string | readonly string[] | undefined): void {
  const wanted = tokenClassOf(rule);
  if (wanted !== undefined && header === wanted) return;
  throw new Failure('TOKEN_REQUIRED', `this method costs a token of the class ${wanted ?? 'none'}`);
}

export function requestBytesMaxOf(rule: Rule): number {
  return rule.requestBytesMax === 0 ? REQUEST_BYTES_MAX : rule.requestBytesMax;
}

const OUTSIDE: ReadonlySet<CallerName> = new Set(['edge', 'operator', 'peer']);

/**
 * Whether a method is there at all for this caller. Whoever may not call it hears the same as if it
 * did not exist: internal methods are not to be found by way of the edge, nor can a service or the
 * operator get around the token gate by calling what clients call.
 */
export function isReachable(rule: Rule, caller: CallerName): boolean {
  switch (rule.caller) {
    case Caller.UNSPECIFIED:
      return false;
    case Caller.SERVICE:
      return !OUTSIDE.has(caller) && rule.services.includes(caller);
    case Caller.OPERATOR:
      return caller === 'operator';
    case Caller.PEER:
      return caller === 'peer';
    default:
      return caller === 'edge' || (caller === GATEWAY && rule.federated);
  }
}
