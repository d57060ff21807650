import type { X509Certificate } from 'node:crypto';

import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import type { ClientId, Domain, QsClientId, QsUserId } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { assertFresh, parseProof, type ProofKind, verifyProof } from '@roost/identity/proof';
import { Caller, type Rule } from '@roost/proto/roost/access/v1/access';

import type { Arriving } from './arriving.ts';
import { type CallerName, isReachable, requestBytesMaxOf, requireRule } from './access.ts';
import { destinationOf, type Forward, GATEWAY, wayTo } from './destination.ts';
import {
  encodeWith,
  type MethodDefinition,
  pathOf,
  type RequestOf,
  type ResponseOf,
  type ServiceDefinition,
} from './definition.ts';

export type { Client } from './call.ts';

/** Who a request's signature says is asking, before it is verified. */
export interface Claimant {
  readonly kind: ProofKind;
  readonly client?: ClientId;
  readonly qsUser?: QsUserId;
  readonly qsClient?: QsClientId;
}

/** What a request's signature proved. */
export interface VerifiedProof extends Claimant {
  /** The Ed25519 key that verified. */
  readonly publicKey: Uint8Array;
  /** 16 bytes, for methods that refuse a replay by it. */
  readonly nonce: Uint8Array;
  readonly createdMs: number;
}

/** What a handler is told besides the request. */
export interface CallContext {
  readonly path: string;
  readonly rule: Rule;
  /** Set if and only if the rule asks for a proof. */
  readonly proof: VerifiedProof | undefined;
  /** Aborted when the caller has gone, its deadline has passed, or the server closes. */
  readonly signal: AbortSignal;
  readonly caller: CallerName;
  /** The homeserver whose user asks; `undefined` for our own. Of a peer's call, what that says that it is. */
  readonly source: Domain | undefined;
  /** What a peer's gateway showed that it holds the key of; who signed it was not looked at. */
  readonly certificate: X509Certificate | undefined;
}

type Handler<M extends MethodDefinition> = (
  request: RequestOf<M>,
  context: CallContext,
) => M['responseStream'] extends true ? AsyncIterable<ResponseOf<M>> : Promise<ResponseOf<M>>;

/** One function for each method of a service. */
export type Handlers<D extends ServiceDefinition> = {
  readonly [K in keyof D['methods']]: Handler<D['methods'][K]>;
};

/**
 * Finds the key of a client, QS user or QS client; `undefined` refuses. Throws a `Failure` where the
 * caller should hear another reason, such as a suspension.
 */
export type KeyOf = (claimant: Claimant, request: unknown) => Promise<Uint8Array | undefined>;

export interface BindOptions {
  readonly keyOf?: KeyOf;
  /** The domain that requests have to be signed for. */
  readonly audience: Domain;
  readonly clock: Clock;
  readonly crypto: Crypto;
  /** How requests get to the homeservers that they are for; absent where none but this is reached. */
  readonly forward?: Forward | undefined;
  /** Lets a call in over the wire before a byte of its request is read, and is told when it has ended. */
  readonly admit?: ((call: Arriving) => Promise<Disposable>) | undefined;
  /** How long a request may take to arrive. */
  readonly bodyMs?: number | undefined;
}

/** A call as it came in. */
export interface Incoming extends Arriving {
  readonly request: Uint8Array;
  /** What is left of the time that the caller gave, where it gave one. */
  readonly deadlineMs?: number | undefined;
}

interface Answering extends Pick<BindOptions, 'admit' | 'bodyMs'> {
  readonly path: string;
  readonly rule: Rule;
  readonly requestBytesMax: number;
}

/** A method with its rule in front; the transports call nothing else. */
export type BoundMethod =
  | (Answering & { readonly kind: 'unary'; answer(call: Incoming): Promise<Uint8Array> })
  | (Answering & { readonly kind: 'stream'; answer(call: Incoming): AsyncIterable<Uint8Array> });

/** A service that is ready to be served, or to be called in the same process. */
export interface ServiceBinding {
  readonly definition: ServiceDefinition;
  readonly methods: ReadonlyMap<string, BoundMethod>;
}

/**
 * Puts the access rule in front of each handler. Throws where a method has no rule, no handler, or
 * asks for a key that nobody can find: such a service does not start.
 */
export function bind<D extends ServiceDefinition>(
  definition: D,
  handlers: Handlers<D>,
  options: BindOptions,
): ServiceBinding {
  const methods = new Map<string, BoundMethod>();
  for (const [key, method] of Object.entries(definition.methods)) {
    const bound = bindMethod(pathOf(definition, method), method, handlerOf(handlers, key), options);
    methods.set(bound.path, bound);
  }
  return { definition, methods };
}

/** The client that signed; the rule CALLER_CLIENT promises that there is one. */
export function callingClient({ proof }: CallContext): ClientId {
  assert(proof?.client !== undefined, 'the rule of this method asks for a client');
  return proof.client;
}

/** The QS user that signed, by CALLER_QS_USER. */
export function callingQsUser({ proof }: CallContext): QsUserId {
  assert(proof?.qsUser !== undefined, 'the rule of this method asks for a QS user');
  return proof.qsUser;
}

/** The QS client that signed, by CALLER_QS_CLIENT. */
export function callingQsClient({ proof }: CallContext): QsClientId {
  assert(proof?.qsClient !== undefined, 'the rule of this method asks for a QS client');
  return proof.qsClient;
}

/** The key that signed, by any rule that asks for a signature. */
export function callingKey({ proof }: CallContext): Uint8Array {
  assert(proof !== undefined, 'the rule of this method asks for a signature');
  return proof.publicKey;
}

type AnyHandler = (request: unknown, context: CallContext) => unknown;

function handlerOf(handlers: object, key: string): AnyHandler {
  const handler: unknown = Reflect.get(handlers, key);
  assert(typeof handler === 'function', `${key} has a handler`);
  return (request, context) => Reflect.apply(handler, handlers, [request, context]) as unknown;
}

function bindMethod(
  path: string,
  method: MethodDefinition,
  handler: AnyHandler,
  options: BindOptions,
): BoundMethod {
  assert(!method.requestStream, `${path} takes one request: browsers cannot stream`);
  const rule = requireRule(path, method);
  assert(
    options.keyOf !== undefined || !LOOKED_UP.has(rule.caller),
    `somebody finds the key that signs ${path}`,
  );

  const open = async (call: Incoming): Promise<Opened> => {
    if (!isReachable(rule, call.caller)) throw unknownMethod();
    if (call.request.length > requestBytesMaxOf(rule)) throw tooLarge(rule);
    const source = sourceOf(rule, call);
    const request = decodeRequest(method, call.request);
    const destination = destinationOf(rule, request, options.audience);
    const addressed = { ...options, audience: destination };
    const forward = wayTo(destination, options, source);
    const proof = await proofOf({ path, rule }, call, request, addressed);
    return { request, destination, forward, proof, source };
  };
  const handle = (call: Incoming, { request, proof, source }: Opened): unknown => {
    const { signal, caller, certificate } = call;
    return handler(request, { path, rule, proof, signal, caller, source, certificate });
  };

  const { admit, bodyMs } = options;
  const common = { path, rule, requestBytesMax: requestBytesMaxOf(rule), admit, bodyMs };
  if (!method.responseStream) {
    const answer = async (call: Incoming): Promise<Uint8Array> => {
      const opened = await open(call);
      const { destination, forward } = opened;
      if (forward === undefined) return encodeWith(method.responseType, await handle(call, opened));
      const { request, proof, deadlineMs, signal } = call;
      return forward({ destination, method: path, request, proof, deadlineMs, signal });
    };
    return { ...common, kind: 'unary', answer };
  }
  return {
    ...common,
    kind: 'stream',
    async *answer(call) {
      const responses = handle(call, await open(call));
      assert(isAsyncIterable(responses), `${path} answers with a stream`);
      for await (const response of responses) yield encodeWith(method.responseType, response);
    },
  };
}

/** A request that its rule lets through. */
interface Opened {
  readonly request: unknown;
  readonly destination: Domain;
  /** Set if and only if it does not stay here. */
  readonly forward: Forward | undefined;
  readonly proof: VerifiedProof | undefined;
  readonly source: Domain | undefined;
}

/** Whose request it is, where the gateway brings one of another homeserver's; it always says. */
function sourceOf(rule: Rule, { caller, source }: Incoming): Domain | undefined {
  if (caller === 'peer') return source;
  if (caller !== GATEWAY || !rule.federated) return undefined;
  if (source !== undefined) return source;
  throw unauthenticated('a request that comes by the gateway is of a homeserver');
}

/** What whoever may not call a method hears, and whoever calls one that is not there. */
export function unknownMethod(): Failure {
  return new Failure('METHOD_UNKNOWN', 'there is no such method');
}

export function tooLarge(rule: Rule): Failure {
  return new Failure('TOO_LARGE', `the request is longer than ${requestBytesMaxOf(rule)} bytes`);
}

const KIND_OF: Partial<Record<Caller, ProofKind>> = {
  [Caller.NEW_KEY]: 'new-key',
  [Caller.CLIENT]: 'client',
  [Caller.QS_USER]: 'qs-user',
  [Caller.QS_CLIENT]: 'qs-client',
  [Caller.GROUP_MEMBER]: 'leaf',
};

const LOOKED_UP: ReadonlySet<Caller> = new Set([Caller.CLIENT, Caller.QS_USER, Caller.QS_CLIENT]);

async function proofOf(
  { path, rule }: { readonly path: string; readonly rule: Rule },
  call: Incoming,
  request: unknown,
  { keyOf, audience, clock, crypto }: BindOptions,
): Promise<VerifiedProof | undefined> {
  const wanted = KIND_OF[rule.caller];
  const proof = call.proof === undefined ? undefined : parseProof(call.proof);
  if (wanted === undefined) return undefined;
  if (proof === undefined) throw unauthenticated('the request has to be signed');
  if (proof.key.kind !== wanted) throw unauthenticated(`the signature has to be of kind ${wanted}`);
  assertFresh(proof, clock.now());

  const publicKey =
    'publicKey' in proof.key ? proof.key.publicKey : await keyOf?.(proof.key, request);
  const binding = { method: path, audience, request: call.request };
  // An unknown signer hears the same as a wrong signature: ids are not to be probed.
  if (publicKey === undefined || !verifyProof(crypto, publicKey, proof, binding)) {
    throw unauthenticated('the signature of the request does not hold');
  }
  return { ...proof.key, publicKey, nonce: proof.nonce, createdMs: proof.createdMs };
}

function decodeRequest(method: MethodDefinition, bytes: Uint8Array): unknown {
  try {
    return method.requestType.decode(bytes);
  } catch (error) {
    throw new Failure('MALFORMED', 'the request is not the message of this method', {}, error);
  }
}

function unauthenticated(message: string): Failure {
  return new Failure('UNAUTHENTICATED', message);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
