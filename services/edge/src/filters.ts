import { tooManyCalls } from '@roost/rpc/address-limit';
import { statusOf } from '@roost/rpc/status';

import type { AddressCalls, EdgeConfig } from './config.ts';
import { headersOf } from './refusals.ts';
import { ADDRESS, MARK, STAGES } from './routes.ts';
import { extension, type Json } from './typed.ts';

const FILTERS = 'envoy.extensions.filters.http';

/**
 * What a call passes, in this order. CORS is first, so that a page can read every refusal; gRPC-web before all that
 * may refuse, so that the refusal is translated; and limits before the gate.
 *
 * Bodies pass by without being collected: a service knows by the first five bytes whether it takes a request, and until
 * it reads on, flow control holds the rest at the client. (Envoy's buffer filter, behind a filter that waits, got stuck
 * on every request over HTTP/1.1 that was longer than it allows.)
 */
export function filtersOf(config: EdgeConfig): Json[] {
  return [
    extension('envoy.filters.http.cors', `${FILTERS}.cors.v3.Cors`),
    extension('envoy.filters.http.grpc_web', `${FILTERS}.grpc_web.v3.GrpcWeb`),
    limitHere(config.addressCalls),
    limitEverywhere('passing'),
    limitEverywhere('refusing'),
    gate(),
    extension('envoy.filters.http.router', `${FILTERS}.router.v3.Router`, {
      suppress_envoy_headers: true,
    }),
  ];
}

/** A bucket for each address, in this edge's memory: a flood ends here. */
export function limitHere({ capacity, perSecond }: AddressCalls): Json {
  const bucket = { max_tokens: capacity, tokens_per_fill: perSecond, fill_interval: '1s' };
  return extension(
    'envoy.filters.http.local_ratelimit',
    `${FILTERS}.local_ratelimit.v3.LocalRateLimit`,
    {
      stat_prefix: 'address',
      // Without the route's mark there is nothing to count.
      rate_limits: [{ actions: [MARKED, ADDRESS] }],
      // An entry without a value stands for any, each with a bucket of its own.
      descriptors: [
        {
          entries: [{ key: MARK, value: 'yes' }, { key: 'masked_remote_address' }],
          token_bucket: bucket,
        },
      ],
      max_dynamic_descriptors: ADDRESSES_MAX,
      filter_enabled: ALWAYS,
      filter_enforced: ALWAYS,
      rate_limited_as_resource_exhausted: true,
      response_headers_to_add: headersOf(statusOf(tooManyCalls(1_000))),
    },
  );
}

const MARKED = {
  metadata: {
    descriptor_key: MARK,
    metadata_key: { key: 'roost', path: [{ key: MARK }] },
    source: 'ROUTE_ENTRY',
  },
};
const ADDRESSES_MAX = 100_000;
const ALWAYS = {
  default_value: { numerator: 100, denominator: 'HUNDRED' },
  runtime_key: 'roost.unset',
};

/** A bucket for each address over all edges: the AAS counts. Where it is away the rule of the method decides. */
function limitEverywhere(stage: 'passing' | 'refusing'): Json {
  return extension(`envoy.filters.http.ratelimit.${stage}`, `${FILTERS}.ratelimit.v3.RateLimit`, {
    domain: 'roost',
    stage: STAGES[stage],
    timeout: '1s',
    failure_mode_deny: stage === 'refusing',
    status_on_error: { code: 'ServiceUnavailable' },
    rate_limited_as_resource_exhausted: true,
    disable_x_envoy_ratelimited_header: true,
    rate_limit_service: { transport_api_version: 'V3', grpc_service: GATE },
  });
}

/**
 * Asks the AAS with nothing but the path and the token. No retry: an answer that was lost may have spent the token.
 * Where there is no answer there is no way through.
 */
function gate(): Json {
  return extension('envoy.filters.http.ext_authz', `${FILTERS}.ext_authz.v3.ExtAuthz`, {
    transport_api_version: 'V3',
    grpc_service: GATE,
    failure_mode_allow: false,
    status_on_error: { code: 'ServiceUnavailable' },
    allowed_headers: { patterns: [{ exact: 'authorization' }] },
    validate_mutations: true,
    clear_route_cache: false,
  });
}

const GATE = { envoy_grpc: { cluster_name: 'gate' }, timeout: '1s' };
