import { type ClientMethod, CLIENT_METHODS } from '@roost/rpc/client-methods';
import { CORS_ALLOWED_HEADERS, CORS_EXPOSED_HEADERS, CORS_MAX_AGE_SECONDS } from '@roost/rpc/cors';
import { HEALTH_PATH } from '@roost/rpc/health';

import type { CommonConfig, EdgeConfig } from './config.ts';
import { type Json, seconds, typed } from './typed.ts';

/** Which of the limits over all edges a route's description of a call goes to. */
export const STAGES = { passing: 0, refusing: 1 } as const;
/** The mark of routes whose calls are counted by address. */
export const MARK = 'counted';

/** Longer than a service takes for any answer: its own status comes first. */
const UNARY_MS = 35_000;
/** A stream says something every 25 s; after three silences its server is gone. */
const SILENCE_MS = 75_000;

/**
 * One route for each method that clients reach, by its exact path, from the table of all rules; for everything else
 * the answer of somebody who knows nothing. Paths are compared as they came: what is not normalised cannot be
 * understood in two ways.
 */
export function routesOf(config: EdgeConfig) {
  const methods = [...CLIENT_METHODS.values()].map(routeOf);
  return {
    name: 'edge',
    virtual_hosts: [
      {
        name: 'everything',
        domains: ['*'],
        typed_per_filter_config: { 'envoy.filters.http.cors': cors(config.allowedOrigins) },
        request_headers_to_remove: NOT_FOR_SERVICES,
        routes: [preflight(), ...methods, health(), ...directoryRoutes(config), nowhere()],
      },
    ],
  };
}

/** The name of a span is its path, and this one is whatever a stranger wrote. */
const UNTRACED = {
  client_sampling: { numerator: 0 },
  random_sampling: { numerator: 0 },
  overall_sampling: { numerator: 0 },
};

/** The token was for the gate; the rest would tell services about a person's device and address. */
export const NOT_FOR_SERVICES = [
  'authorization',
  'cookie',
  'origin',
  'referer',
  'user-agent',
  'x-user-agent',
  'x-envoy-external-address',
  'x-envoy-internal',
  'x-forwarded-for',
  'x-request-id',
];

function routeOf(method: ClientMethod): Json {
  const { path, service, isStream, cost } = method;
  const isExempt = cost === 'exempt';
  return {
    name: path,
    match: call(path),
    route: {
      cluster: service,
      // A stream lasts as long as it is not silent.
      timeout: seconds(isStream ? 0 : UNARY_MS),
      idle_timeout: seconds(SILENCE_MS),
      retry_policy: RETRIES,
      ...(isExempt ? { rate_limits: limitsOf(method) } : {}),
    },
    ...(isExempt ? { metadata: COUNTED } : {}),
    ...(isExempt ? { typed_per_filter_config: UNGATED } : {}),
  };
}

/**
 * Health is told by the AS in the name of all: a service of its own would have nothing else to say. It is in no table
 * of ours, so this edge alone limits it.
 */
function health(): Json {
  return {
    name: HEALTH_PATH,
    match: call(HEALTH_PATH),
    route: {
      cluster: 'as',
      timeout: seconds(UNARY_MS),
      retry_policy: RETRIES,
    },
    metadata: COUNTED,
    typed_per_filter_config: UNGATED,
  };
}

/** Who this homeserver is, for others that look for it: the gateway tells it. */
export function directoryRoutes({ directory }: CommonConfig): Json[] {
  if (directory === undefined) return [];
  return ['GET', 'HEAD'].map((method) => ({
    name: 'directory',
    match: {
      path: DIRECTORY_PATH,
      headers: [
        { name: ':path', string_match: { exact: DIRECTORY_PATH } },
        { name: ':method', string_match: { exact: method } },
      ],
    },
    route: { cluster: 'directory', timeout: '5s', retry_policy: RETRIES },
    metadata: COUNTED,
    typed_per_filter_config: UNGATED,
  }));
}

/** As others find it; `proto/roost/federation/v1/peer.proto`. */
const DIRECTORY_PATH = '/.well-known/roost-federation';

/**
 * What browsers ask before a call. The filter for it answers only where there is a route to somebody, and answers all
 * that look like this: nobody behind ever hears of one.
 */
function preflight(): Json {
  return {
    name: 'preflight',
    match: {
      prefix: '',
      headers: [
        { name: ':method', string_match: { exact: 'OPTIONS' } },
        { name: 'origin', present_match: true },
        { name: 'access-control-request-method', present_match: true },
      ],
    },
    route: { cluster: 'as' },
  };
}

/** The local replies make METHOD_UNKNOWN of it, for who can read that. */
export function nowhere(): Json {
  return {
    name: 'unknown',
    match: { prefix: '' },
    direct_response: { status: 404 },
    tracing: UNTRACED,
    // The filter for pages passes over routes that lead to nobody; and what this one says is no secret.
    response_headers_to_add: [
      { header: { key: 'access-control-allow-origin', value: '*' } },
      { header: { key: 'access-control-expose-headers', value: CORS_EXPOSED_HEADERS } },
    ],
    typed_per_filter_config: UNGATED,
  };
}

/** A call, and nothing that only resembles one: `path` alone would not look at what follows a `?`. */
export function call(path: string): Json {
  return {
    path,
    headers: [
      { name: ':path', string_match: { exact: path } },
      { name: ':method', string_match: { exact: 'POST' } },
      { name: 'content-type', string_match: { safe_regex: { regex: CONTENT_TYPE } } },
    ],
  };
}

const CONTENT_TYPE = String.raw`application/grpc(-web)?(\+proto)?`;

/**
 * Only what has certainly not been seen by a service is sent to another: the token is spent by then, and a service
 * may have done already what it did not answer.
 */
export const RETRIES: Json = {
  retry_on: 'connect-failure,refused-stream,reset-before-request',
  num_retries: 3,
  retry_back_off: { base_interval: '0.025s', max_interval: '0.25s' },
  retry_host_predicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typed_config: typed('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'),
    },
  ],
  host_selection_retry_max_attempts: 3,
};

const UNGATED = {
  'envoy.filters.http.ext_authz': typed(
    'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
    { disabled: true },
  ),
};

/** One address; of IPv6 the /64, which is what one subscriber has. */
export const ADDRESS = {
  masked_remote_address: { v4_prefix_mask_len: 32, v6_prefix_mask_len: 64 },
};

export const COUNTED = { filter_metadata: { roost: { [MARK]: 'yes' } } };

/** The AAS counts over all edges, and looks up the rule of the path. */
function limitsOf({ path, passesUncounted }: ClientMethod): Json {
  const named = { generic_key: { descriptor_key: 'path', descriptor_value: path } };
  const stage = passesUncounted ? STAGES.passing : STAGES.refusing;
  return [{ stage, actions: [named, ADDRESS] }];
}

function cors(allowedOrigins: readonly string[] | undefined): Json {
  const allowed = allowedOrigins?.map((exact) => ({ exact })) ?? [{ safe_regex: { regex: '.*' } }];
  return typed('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
    allow_origin_string_match: allowed,
    allow_methods: 'POST',
    allow_headers: CORS_ALLOWED_HEADERS,
    expose_headers: CORS_EXPOSED_HEADERS,
    max_age: String(CORS_MAX_AGE_SECONDS),
    // Else a preflight from elsewhere would go on to the token gate.
    forward_not_matching_preflights: false,
  });
}
