import { readFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';
import { Caller, LimiterAway, type Rule, TokenClass } from '@roost/proto/roost/access/v1/access';
import * as externalAuth from '@roost/proto/envoy/service/auth/v3/external_auth';
import * as rateLimit from '@roost/proto/envoy/service/ratelimit/v3/rls';
import * as authentication from '@roost/proto/roost/authentication/v1/authentication';
import * as delivery from '@roost/proto/roost/delivery/v1/delivery';
import * as deliveryAdmin from '@roost/proto/roost/delivery/v1/admin';
import * as federationAdmin from '@roost/proto/roost/federation/v1/admin';
import * as gateway from '@roost/proto/roost/federation/v1/gateway';
import * as peer from '@roost/proto/roost/federation/v1/peer';
import * as limits from '@roost/proto/roost/tokens/v1/limits';
import * as queue from '@roost/proto/roost/queue/v1/queue';
import * as queueAdmin from '@roost/proto/roost/queue/v1/admin';
import * as tokenAdmin from '@roost/proto/roost/tokens/v1/admin';
import * as tokens from '@roost/proto/roost/tokens/v1/tokens';

import { isReachable, requireRule } from './access.ts';
import { pathOf, type ServiceDefinition } from './definition.ts';

const table: Record<string, Record<string, unknown>> = JSON.parse(
  readFileSync(new URL('../../../proto/gen/rules.json', import.meta.url), 'utf8'),
) as Record<string, Record<string, unknown>>;

function isDefinition(value: unknown): value is ServiceDefinition {
  return typeof value === 'object' && value !== null && 'fullName' in value && 'methods' in value;
}

const ours = [authentication, delivery, queue, tokens, limits, gateway, peer];
const admins = [deliveryAdmin, federationAdmin, queueAdmin, tokenAdmin];
const definitions = [externalAuth, rateLimit, ...ours, ...admins]
  .flatMap((file) => Object.values<unknown>(file))
  .filter(isDefinition);

const nameIn = (names: Record<string, number>, value: number) =>
  Object.keys(names).find((name) => names[name] === value);

test('the rules that services start with are the ones in the table, method by method', () => {
  const read = definitions.flatMap((definition) =>
    Object.values(definition.methods).map((method) => {
      const path = pathOf(definition, method);
      const rule = requireRule(path, method);
      const { federated, services, requestBytesMax, service, destination } = rule;
      const token = `TOKEN_CLASS_${nameIn(TokenClass, rule.token)}`;
      const caller = `CALLER_${nameIn(Caller, rule.caller)}`;
      const limiterAway = `LIMITER_AWAY_${nameIn(LimiterAway, rule.limiterAway)}`;
      const rest = { federated, services, requestBytesMax, service, limiterAway, destination };
      return [path, { token, caller, ...rest }] as const;
    }),
  );
  expect(Object.fromEntries(read)).toEqual(table);
  expect(read.length).toBeGreaterThan(30);
});

test('who may call is decided by the rule alone, and the rest is denied', () => {
  const rule: Rule = {
    token: TokenClass.EXEMPT,
    caller: Caller.ANYONE,
    federated: false,
    services: ['aas'],
    requestBytesMax: 0,
    service: 'as',
    limiterAway: LimiterAway.PASS,
    destination: '',
  };
  const may = (caller: Caller, who: string) => isReachable({ ...rule, caller }, who);
  const byClients = [
    Caller.ANYONE,
    Caller.NEW_KEY,
    Caller.CLIENT,
    Caller.QS_USER,
    Caller.QS_CLIENT,
    Caller.GROUP_MEMBER,
  ];
  for (const caller of byClients) {
    // Other homeservers get to what travels, and to nothing else.
    expect(may(caller, 'federation-gateway')).toBe(false);
    expect(isReachable({ ...rule, caller, federated: true }, 'federation-gateway')).toBe(true);
    expect(may(caller, 'peer')).toBe(false);
    expect([may(caller, 'edge'), may(caller, 'operator'), may(caller, 'aas')]).toEqual([
      true,
      false,
      false,
    ]);
  }
  for (const who of ['edge', 'operator', 'aas', 'ds', 'peer']) {
    expect(may(Caller.PEER, who)).toBe(who === 'peer');
    expect(may(Caller.SERVICE, who)).toBe(who === 'aas');
    expect(may(Caller.OPERATOR, who)).toBe(who === 'operator');
    expect(may(Caller.UNSPECIFIED, who)).toBe(false);
  }
  // Not even a rule that names them makes services of clients and the operator.
  const careless = { ...rule, caller: Caller.SERVICE, services: ['edge', 'operator', 'peer'] };
  expect(careless.services.filter((who) => isReachable(careless, who))).toEqual([]);
});
