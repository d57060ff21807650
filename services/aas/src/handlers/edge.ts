import { Failure, malformed } from '@roost/core/failure';
import type { TokenClass } from '@roost/identity/issuer-keys';
import {
  type AuthorizationDefinition,
  type CheckResponse,
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction as Append,
} from '@roost/proto/envoy/service/auth/v3/external_auth';
import {
  type RateLimitDescriptor,
  type RateLimitResponse,
  RateLimitResponse_Code as Limit,
  type RateLimitServiceDefinition,
} from '@roost/proto/envoy/service/ratelimit/v3/rls';
import { TOKEN_CLASS_HEADER } from '@roost/rpc/access';
import { type Bucket, limitAddress, type Limiter } from '@roost/rpc/address-limit';
import { trailersOf } from '@roost/rpc/frames';
import type { Handlers } from '@roost/rpc/service';
import { CODES, statusOf } from '@roost/rpc/status';
import type { Gate } from '../gate.ts';
import { clientRuleOf } from '../rules.ts';

/**
 * What Envoy asks before it lets a call through. Refusals are headers of an answer without a body: so
 * a gRPC client and a gRPC-web client read the same status, with the same details, as a service would
 * have sent (with a status of HTTP, gRPC-web clients read that one instead).
 */
export function authorizationHandlers(gate: Gate): Handlers<typeof AuthorizationDefinition> {
  return {
    async check({ attributes }, { signal }) {
      const { path = '', headers = {} } = attributes?.request?.http ?? {};
      try {
        return allowed(await gate.check(path, headers['authorization'] ?? '', signal));
      } catch (error) {
        // That we are not able to decide is an error of this call: Envoy's own answer to it is 503.
        if (!(error instanceof Failure) || error.reason === 'UNAVAILABLE') throw error;
        return denied(error);
      }
    },
  };
}

/** The token itself goes no further: neither a service nor its log ever holds one. */
function allowed(spent: TokenClass | 'exempt'): CheckResponse {
  const isExempt = spent === 'exempt';
  const value = {
    headers: isExempt ? [] : [header(TOKEN_CLASS_HEADER, spent)],
    headersToRemove: ['authorization', ...(isExempt ? [TOKEN_CLASS_HEADER] : [])],
  };
  return {
    status: { code: CODES.OK, message: '', details: [] },
    httpResponse: { $case: 'okResponse', value },
  };
}

function denied(failure: Failure): CheckResponse {
  const status = statusOf(failure);
  const headers = Object.entries(trailersOf(status)).map(([key, value]) => header(key, value));
  return {
    status: { code: status.code, message: '', details: [] },
    httpResponse: { $case: 'deniedResponse', value: { status: { code: 200 }, headers, body: '' } },
  };
}

function header(key: string, value: string): HeaderValueOption {
  return { header: { key, value }, appendAction: Append.OVERWRITE_IF_EXISTS_OR_ADD };
}

interface Counting {
  readonly limiter: Limiter;
  readonly bucket: Bucket | undefined;
}

/** The limit of an address over all edges: the same buckets, charged by the same function, as in one process. */
export function rateLimitHandlers({
  limiter,
  bucket,
}: Counting): Handlers<typeof RateLimitServiceDefinition> {
  return {
    async shouldRateLimit({ descriptors }) {
      const { rule, address } = asked(descriptors);
      try {
        await limitAddress(limiter, address, rule, bucket);
        return { overallCode: Limit.OK, responseHeadersToAdd: [] };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        return overLimit(error);
      }
    },
  };
}

function overLimit(failure: Failure): RateLimitResponse {
  const headers = Object.entries(trailersOf(statusOf(failure)));
  return {
    overallCode: Limit.OVER_LIMIT,
    responseHeadersToAdd: headers.map(([key, value]) => ({ key, value })),
  };
}

function asked(descriptors: readonly RateLimitDescriptor[]) {
  const entries = descriptors.flatMap((each) => each.entries);
  const find = (key: string) => entries.find((entry) => entry.key === key)?.value ?? '';
  const rule = clientRuleOf(find('path'));
  // Envoy writes how many bits it left: 192.0.2.1/32.
  const address = find('masked_remote_address').replace(/\/[0-9]+$/, '');
  if (rule === undefined || address === '') {
    throw malformed('descriptors', 'are not a path that clients call, and an address');
  }
  return { rule, address };
}
