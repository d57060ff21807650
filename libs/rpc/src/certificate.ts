import { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import { Failure } from '@roost/core/failure';

/** How Envoy says what the other side of its connection showed; it takes away what that side says itself. */
const FORWARDED_HEADER = 'x-forwarded-client-cert';
/** One element: nobody else stands between. All that holds text of others is percent-encoded. */
const FORWARDED = /^(?:[A-Za-z]+=[^",;]*;)*Cert="([A-Za-z0-9%._~+/=-]+)"$/;

/** The certificate that the other side showed to the proxy in front; to be asked for the proxy's calls alone. */
export function forwardedCertificate(headers: IncomingHttpHeaders): X509Certificate | undefined {
  const value = headers[FORWARDED_HEADER];
  if (value === undefined || value === '') return undefined;
  const encoded = typeof value === 'string' ? FORWARDED.exec(value)?.[1] : undefined;
  try {
    if (encoded !== undefined) return new X509Certificate(decodeURIComponent(encoded));
  } catch {
    // Told below: what it says is nobody's business.
  }
  throw new Failure('UNAUTHENTICATED', 'the client certificate cannot be read');
}

/** What the other side of a connection showed, whoever signed it. */
export function shownOn(socket: Socket | undefined): X509Certificate | undefined {
  return socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
}
