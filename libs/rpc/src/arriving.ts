import type { X509Certificate } from 'node:crypto';

import { Failure } from '@roost/core/failure';
import { type Domain, parseDomain } from '@roost/core/ids';

import type { CallerName } from './access.ts';
import { PROOF_METADATA } from './call.ts';
import { forwardedCertificate } from './certificate.ts';
import { GATEWAY, SOURCE_HEADER } from './destination.ts';
import type { Exchange } from './exchange.ts';
import { fromBase64 } from './frames.ts';

/** What is known of a call before a byte of its request is read. */
export interface Arriving {
  /** The metadata `roost-proof-bin`, decoded from base64. */
  readonly proof: Uint8Array | undefined;
  readonly caller: CallerName;
  readonly signal: AbortSignal;
  /** Whose request the gateway brings; of a peer's call, whose gateway it says that it is. */
  readonly source?: Domain | undefined;
  /** What a peer's gateway showed that it holds the key of; who signed it was not looked at. */
  readonly certificate?: X509Certificate | undefined;
}

/** What the headers of a call say, as far as its caller is believed about it. */
export function arrivingOf(exchange: Exchange, caller: CallerName, signal: AbortSignal): Arriving {
  const common = { proof: proofIn(exchange), caller, signal };
  if (caller === GATEWAY) return { ...common, source: sourceIn(exchange) };
  if (caller !== 'peer') return common;
  // By its own certificate the proxy in front says that it is `peer`; then the other's is what it says.
  const isBehindProxy = exchange.caller !== undefined;
  const certificate = isBehindProxy ? forwardedCertificate(exchange.headers) : exchange.shown?.();
  return { ...common, source: sourceIn(exchange), certificate };
}

function proofIn({ headers }: Exchange): Uint8Array | undefined {
  const value = headers[PROOF_METADATA];
  if (value === undefined) return undefined;
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined;
  if (bytes === undefined) throw new Failure('MALFORMED', `${PROOF_METADATA}: is not base64`);
  return bytes;
}

function sourceIn({ headers }: Exchange): Domain | undefined {
  const value = headers[SOURCE_HEADER];
  return typeof value === 'string' ? parseDomain(value, SOURCE_HEADER) : undefined;
}
