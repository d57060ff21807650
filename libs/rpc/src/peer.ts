import { X509Certificate } from 'node:crypto';

import type { Domain } from '@roost/core/ids';

/**
 * Who a process of this homeserver is to the others: a service (`as`, `aas`, `qs`, `ds`,
 * `federation-gateway`), the `edge`, the edge's token `gate`, or the `operator`.
 */
export interface Peer {
  /** The home domain. */
  readonly domain: Domain;
  readonly name: string;
}

/** What a process shows to the others and whom it believes, PEM. */
export interface MutualTls {
  readonly cert: string;
  readonly key: string;
  /** The homeserver's internal authority: it signs nobody else. */
  readonly ca: string;
}

/** As it stands in a certificate, the only URI among its subject alternative names. */
export function printPeer({ domain, name }: Peer): string {
  return `spiffe://${domain}/${name}`;
}

/** The peer of this homeserver that a certificate names; `undefined` for anybody else. */
export function peerOf(certificate: X509Certificate, domain: Domain): Peer | undefined {
  const uris = (certificate.subjectAltName ?? '')
    .split(', ')
    .filter((entry) => entry.startsWith('URI:'));
  const [uri] = uris;
  if (uri === undefined || uris.length > 1) return undefined;
  const prefix = `URI:spiffe://${domain}/`;
  const name = uri.startsWith(prefix) ? uri.slice(prefix.length) : '';
  return PEER_NAME.test(name) ? { domain, name } : undefined;
}

/** Its error, if a server's certificate is not that of the peer; in the shape that TLS asks for. */
export function refuseOther(raw: Uint8Array, { domain, name }: Peer): Error | undefined {
  const found = peerOf(new X509Certificate(raw), domain);
  if (found?.name === name) return undefined;
  return new Error(`the server is not ${name} of this homeserver`);
}

const PEER_NAME = /^[a-z][a-z-]{0,31}$/;
