import { parseDomain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { Any } from '@roost/proto/google/protobuf/any';
import { Caller, LimiterAway, Rule, TokenClass } from '@roost/proto/roost/access/v1/access';

import { type BindOptions, bind, type CallContext, type Handlers } from './service.ts';

/** A service for the tests of this package, in ts-proto's shape, with one method for each rule. */

/** The options of a method with this rule. */
export function optionsOf(rule: Partial<Rule>) {
  const whole: Rule = {
    token: TokenClass.EXEMPT,
    caller: Caller.ANYONE,
    federated: false,
    services: [],
    requestBytesMax: 0,
    service: 'echo',
    limiterAway: isCounted(rule) ? LimiterAway.PASS : LimiterAway.UNSPECIFIED,
    destination: '',
    ...rule,
  };
  const encoded = Rule.encode(whole).finish();
  return { _unknownFields: { 400_010: [Uint8Array.of(encoded.length, ...encoded)] } };
}

function isCounted({ token, services, caller }: Partial<Rule>): boolean {
  return token === undefined && services === undefined && caller !== Caller.OPERATOR;
}

function unary<const Name extends string>(name: Name, rule: Partial<Rule>) {
  return {
    name,
    requestType: Any,
    requestStream: false,
    responseType: Any,
    responseStream: false,
    options: optionsOf(rule),
  } as const;
}

export const EchoDefinition = {
  name: 'EchoService',
  fullName: 'roost.echo.v1.EchoService',
  methods: {
    open: unary('Open', {}),
    large: unary('Large', { requestBytesMax: 1 << 20 }),
    paid: unary('Paid', { token: TokenClass.GENERAL }),
    newKey: unary('NewKey', { caller: Caller.NEW_KEY, limiterAway: LimiterAway.REFUSE }),
    client: unary('Client', { caller: Caller.CLIENT }),
    leaf: unary('Leaf', { caller: Caller.GROUP_MEMBER }),
    service: unary('Service', { caller: Caller.SERVICE, services: ['friend', 'qs'] }),
    operator: unary('Operator', { caller: Caller.OPERATOR }),
    follow: { ...unary('Follow', {}), responseStream: true },
  },
} as const;

export type EchoHandlers = Handlers<typeof EchoDefinition>;

export const home = parseDomain('roost.example');

/** A clock that a test sets; it stands still. */
export function stoppedClock(): Clock & { nowMs: number } {
  return {
    nowMs: Date.UTC(2026, 10, 21),
    now() {
      return this.nowMs;
    },
  };
}

async function echo(request: Any): Promise<Any> {
  return request;
}

/** Handlers that give back what they got; a test replaces the ones that it is about. */
export function echoBinding(handlers: Partial<EchoHandlers>, options: Partial<BindOptions> = {}) {
  const all: EchoHandlers = {
    open: echo,
    large: echo,
    paid: echo,
    newKey: echo,
    client: echo,
    leaf: echo,
    service: echo,
    operator: echo,
    async *follow(request: Any, { signal }: CallContext) {
      for (let at = 0; at < request.value.length && !signal.aborted; at++) {
        yield { typeUrl: request.typeUrl, value: request.value.slice(at, at + 1) };
      }
    },
    ...handlers,
  };
  return bind(EchoDefinition, all, {
    keyOf: async () => undefined,
    audience: home,
    clock: stoppedClock(),
    crypto: nodeCrypto,
    ...options,
  });
}
