import { assert } from '@roost/core/assert';
import { toBase64url } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { makeProof, type ProofKey } from '@roost/identity/proof';
import type { Rule } from '@roost/proto/roost/access/v1/access';

import { ruleOf } from './access.ts';
import { destinationOf } from './addressed.ts';
import {
  encodeWith,
  type MethodDefinition,
  pathOf,
  type RequestOf,
  type ResponseOf,
  type ServiceDefinition,
} from './definition.ts';

/** The metadata that a signature travels in. */
export const PROOF_METADATA = 'roost-proof-bin';

/** How long a unary call may take where the caller does not say. */
export const DEADLINE_MS = 30_000;

/** The largest answer that a client takes. */
export const RESPONSE_BYTES_MAX = 64 << 20;

export interface CallOptions {
  /** Signs the request as this key; asked for by the method's rule. */
  readonly sign?: { readonly key: ProofKey; readonly privateKey: Uint8Array } | undefined;
  /** A token to spend (RFC 9577), raw. */
  readonly token?: Uint8Array | undefined;
  /** For unary calls `DEADLINE_MS`, for streams none, where it is not given. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What goes with the bytes of a request. */
export interface Outgoing {
  readonly path: string;
  readonly request: Uint8Array;
  readonly proof: Uint8Array | undefined;
  readonly authorization: string | undefined;
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Whose request the gateway brings. */
  readonly source?: Domain | undefined;
}

/**
 * Carries bytes to a server. A refusal is thrown as the `Failure` that it was over there, whatever
 * else went wrong as a `ServerError`, and an abort as the reason of the signal.
 */
export interface Transport {
  unary(call: Outgoing): Promise<Uint8Array>;
  stream(call: Outgoing): AsyncIterable<Uint8Array>;
}

type Method<M extends MethodDefinition> = (
  request: RequestOf<M>,
  options?: CallOptions,
) => M['responseStream'] extends true ? AsyncIterable<ResponseOf<M>> : Promise<ResponseOf<M>>;

/** One function for each method of a service. */
export type Client<D extends ServiceDefinition> = {
  readonly [K in keyof D['methods']]: Method<D['methods'][K]>;
};

/** What is needed to sign. Its clock is the one that a client corrects after CLOCK_SKEW. */
export interface Signing {
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** The homeserver that is asked. A request for another one is signed for that. */
  readonly audience: Domain;
}

/** A client of a service over any transport. Signs and tokens are per call. */
export function clientOf<D extends ServiceDefinition>(
  definition: D,
  transport: Transport,
  signing?: Signing,
): Client<D> {
  const methods = Object.entries(definition.methods).map(([key, method]) => {
    const path = pathOf(definition, method);
    const rule = signing && ruleOf(method);
    const call = (request: unknown, options: CallOptions = {}) => {
      const addressed = signing && { ...signing, audience: audienceOf(rule, request, signing) };
      const outgoing = prepare(path, encodeWith(method.requestType, request), options, addressed);
      if (method.responseStream) return decodeEach(method, transport.stream(outgoing));
      const { deadlineMs = DEADLINE_MS } = outgoing;
      return decodeOne(method, transport.unary({ ...outgoing, deadlineMs }));
    };
    return [key, call] as const;
  });
  return Object.fromEntries(methods) as Client<D>;
}

/** `authorization` for a token (RFC 9577 §2.2). */
export function printToken(token: Uint8Array): string {
  return `PrivateToken token="${toBase64url(token)}"`;
}

/** Whom a request is signed for: the homeserver that it is for, whoever carries it there. */
function audienceOf(rule: Rule | undefined, request: unknown, { audience }: Signing): Domain {
  if (rule === undefined) return audience;
  try {
    return destinationOf(rule, request, audience);
  } catch (error) {
    // What names no homeserver is refused by the one that is asked.
    if (error instanceof Failure) return audience;
    throw error;
  }
}

function prepare(
  path: string,
  request: Uint8Array,
  { sign, token, deadlineMs, signal }: CallOptions,
  signing: Signing | undefined,
): Outgoing {
  const authorization = token === undefined ? undefined : printToken(token);
  const whole = { path, request, authorization, deadlineMs, signal };
  if (sign === undefined) return { ...whole, proof: undefined };
  assert(signing !== undefined, 'a client that signs was made with what it signs with');
  const { crypto, clock, audience } = signing;
  const proof = makeProof(crypto, sign, { method: path, audience, request }, clock.now());
  return { ...whole, proof };
}

async function decodeOne(method: MethodDefinition, message: Promise<Uint8Array>) {
  return method.responseType.decode(await message);
}

async function* decodeEach(method: MethodDefinition, messages: AsyncIterable<Uint8Array>) {
  for await (const bytes of messages) yield method.responseType.decode(bytes);
}
