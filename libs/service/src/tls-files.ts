import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { CannotStart } from '@roost/core/cannot-start';
import type { Clock } from '@roost/core/time';
import { SECOND_MS, sleep } from '@roost/core/time';
import { type MutualTls, type Peer, peerOf } from '@roost/rpc/peer';
import type { Log } from './log.ts';

/** Where a process keeps what it shows to the others, and whom it believes. */
export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** What they hold, and until when it is good. */
export interface ReadTls extends MutualTls {
  readonly ends: Readonly<Record<'server' | 'ca', Date>>;
}

/** Reads certificate, key and authority; throws all that keeps them from making this process `self`. */
export async function readTlsFiles(paths: TlsPaths, self: Peer, clock: Clock): Promise<ReadTls> {
  const [cert, key, ca] = await Promise.all([
    read('ROOST_TLS_CERT', paths.cert),
    read('ROOST_TLS_KEY', paths.key),
    read('ROOST_TLS_CA', paths.ca),
  ]);
  try {
    createSecureContext({ cert, key, ca });
  } catch (error) {
    throw new CannotStart(
      `ROOST_TLS_CERT and ROOST_TLS_KEY are not a certificate and its key in PEM (${String(error)}): give a ` +
        'pair that belongs together, such as roostctl certificates makes',
      { cause: error },
    );
  }
  const [own, ...between] = certificatesIn(cert);
  const authorities = certificatesIn(ca);
  if (own === undefined || authorities.length === 0) {
    throw new CannotStart('ROOST_TLS_CERT and ROOST_TLS_CA have to hold a certificate each, PEM');
  }
  const authority = authorityOf(own, between, authorities);
  const wrong = [
    ...(peerOf(own, self.domain)?.name === self.name
      ? []
      : [
          `ROOST_TLS_CERT is not that of ${self.name} of ${self.domain}: it has to name ` +
            `spiffe://${self.domain}/${self.name}, and no other URI`,
        ]),
    ...agesOf('ROOST_TLS_CERT', own, clock.now()),
    ...(authority === undefined
      ? ['ROOST_TLS_CERT is not signed by any of ROOST_TLS_CA: give what belongs together']
      : agesOf('ROOST_TLS_CA', authority, clock.now())),
  ];
  if (authority === undefined || wrong.length > 0) throw new CannotStart(wrong.join('\n'));
  return { cert, key, ca, ends: { server: own.validToDate, ca: authority.validToDate } };
}

function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(CERTIFICATE) ?? []).map((each) => new X509Certificate(each));
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The authority that the others will find at the end of a chain. */
function authorityOf(
  own: X509Certificate,
  between: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): X509Certificate | undefined {
  let last = own;
  for (const next of between) if (isSigned(last, next)) last = next;
  return authorities.find((authority) => isSigned(last, authority));
}

function isSigned(certificate: X509Certificate, by: X509Certificate): boolean {
  return certificate.checkIssued(by) && certificate.verify(by.publicKey);
}

function agesOf(variable: string, certificate: X509Certificate, now: number): string[] {
  const { validFrom, validFromDate, validTo, validToDate } = certificate;
  if (+validToDate <= now) return [`${variable} ended on ${validTo}: renew it`];
  if (+validFromDate > now) return [`${variable} begins on ${validFrom}: is the clock right?`];
  return [];
}

interface Watched {
  readonly paths: TlsPaths;
  readonly self: Peer;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs?: number;
}

/** Reads them again and again, and tells when they have changed. What does not fit together is left for later. */
export async function watchTlsFiles(
  { paths, self, clock, log, everyMs = LOOK_MS }: Watched,
  first: ReadTls,
  renew: (tls: ReadTls) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let last = first; ;) {
    await sleep(everyMs, signal);
    if (signal.aborted) return;
    try {
      const found = await readTlsFiles(paths, self, clock);
      if (found.cert === last.cert && found.key === last.key && found.ca === last.ca) continue;
      renew(found);
      last = found;
      log.info({}, 'the certificate was renewed');
    } catch (error) {
      log.warn({ error }, 'the certificate files cannot be used; what was read before goes on');
    }
  }
}

async function read(variable: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CannotStart(`${variable}: ${path} cannot be read (${String(error)})`, {
      cause: error,
    });
  }
}

const LOOK_MS = 30 * SECOND_MS;
