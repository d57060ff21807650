import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';

import { errorCode } from '@roost/core/error-code';
import type { Domain } from '@roost/core/ids';
import { SECOND_MS } from '@roost/core/time';
import { DIRECTORY_BYTES_MAX } from '@roost/federation/directory';
import { isCertificateOf } from '@roost/rpc/client';

import { checkedLookup, type Reach } from './lookup.ts';
import { type DiscoveryFlaw, PeerUnreachable } from './unreachable.ts';

/** Where a homeserver says who it is. */
export const DIRECTORY_PATH = '/.well-known/roost-federation';
/** For all of it: looking up, connecting, and every byte of the answer. */
export const FETCH_MS = 15 * SECOND_MS;
/** For the answer, once it began: who sends byte by byte is not busy. */
const BODY_MS = 5 * SECOND_MS;

export interface DocumentOptions extends Reach {
  /** 443, but where a private federation says otherwise. */
  readonly port: number;
  /** PEM; absent for the authorities that this machine trusts. */
  readonly ca?: string | undefined;
  readonly timeoutMs?: number | undefined;
  readonly bodyMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fetches a domain's document, from addresses that may be reached, over TLS 1.3 with a certificate for
 * the domain. No redirect is followed, nothing is decompressed, and no more is read than it may hold.
 */
export async function fetchDocument(domain: Domain, options: DocumentOptions): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const sent = request({
    ...{ host: domain, servername: domain, port: options.port, path: DIRECTORY_PATH },
    // A connection of its own: one that was opened before may lead where the name led then.
    ...{ agent: false, maxHeaderSize: HEADER_BYTES_MAX, lookup: checkedLookup(options) },
    ...{ minVersion: 'TLSv1.3', ca: options.ca },
    signal: options.signal,
    checkServerIdentity: (_, { raw }) => refuseOther(new X509Certificate(raw), domain),
    headers: { accept: 'application/json', 'accept-encoding': 'identity' },
  });
  const refuseLate = (): void => {
    sent.destroy(new PeerUnreachable('time', `${domain} takes too long to say who it is`));
  };
  const timers = [setTimeout(refuseLate, options.timeoutMs ?? FETCH_MS)];
  sent.once('response', (response) => {
    timers.push(setTimeout(refuseLate, options.bodyMs ?? BODY_MS));
    void readInto(response, domain).then(resolve, reject);
  });
  sent.once('error', (error) => reject(asUnreachable(domain, error)));
  sent.end();
  try {
    return await promise;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    sent.destroy();
  }
}

function refuseOther(certificate: X509Certificate, domain: Domain): Error | undefined {
  if (isCertificateOf(certificate, domain)) return undefined;
  return new PeerUnreachable('certificate', `${domain} shows the certificate of another`);
}

const HEADER_BYTES_MAX = 16_384;
const JSON_TYPE = /^application\/json\s*(;|$)/i;

async function readInto(response: IncomingMessage, domain: Domain): Promise<Buffer> {
  const refuse = (flaw: DiscoveryFlaw, what: string) =>
    new PeerUnreachable(flaw, `${domain} ${what}`);
  try {
    const { statusCode = 0, headers } = response;
    if (statusCode >= 300 && statusCode < 400) throw refuse('redirect', 'wants to lead elsewhere');
    if (statusCode !== 200) throw refuse('status', `answers ${statusCode}`);
    if (!JSON_TYPE.test(headers['content-type'] ?? '')) throw refuse('type', 'sends no JSON');
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') throw refuse('type', 'sends it compressed');
    const tooLong = refuse('size', `sends more than ${DIRECTORY_BYTES_MAX} bytes`);
    if (Number(headers['content-length'] ?? 0) > DIRECTORY_BYTES_MAX) throw tooLong;
    const [chunks, size] = [new Array<Buffer>(), { read: 0 }];
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size.read += chunk.length;
      if (size.read > DIRECTORY_BYTES_MAX) throw tooLong;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    throw asUnreachable(domain, error);
  } finally {
    response.destroy();
  }
}

function asUnreachable(domain: Domain, error: unknown): PeerUnreachable {
  if (error instanceof PeerUnreachable) return error;
  const code = errorCode(error) ?? '';
  const isTls = /CERT|TLS|SSL|SIGNATURE|ALTNAME/.test(code);
  const what = isTls ? 'shows no certificate that is trusted' : 'cannot be reached';
  return new PeerUnreachable(
    isTls ? 'certificate' : 'connection',
    `${domain} ${what} (${code})`,
    error,
  );
}
