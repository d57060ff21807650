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

/** Reads certificate, key and authority; throws a sentence where they do not make this process `self`. */
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
  const [own, authority] = [new X509Certificate(cert), new X509Certificate(ca)];
  if (peerOf(own, self.domain)?.name !== self.name) {
    throw new CannotStart(
      `ROOST_TLS_CERT is not that of ${self.name} of ${self.domain}: it has to name ` +
        `spiffe://${self.domain}/${self.name}, and no other URI`,
    );
  }
  if (+own.validToDate < clock.now()) {
    throw new CannotStart(`ROOST_TLS_CERT ended on ${own.validTo}: renew it`);
  }
  return { cert, key, ca, ends: { server: own.validToDate, ca: authority.validToDate } };
}

/** Reads them again and again, and tells when they have changed. What does not fit together is left for later. */
export async function watchTlsFiles(
  { paths, self, clock, log }: { paths: TlsPaths; self: Peer; clock: Clock; log: Log },
  first: ReadTls,
  renew: (tls: ReadTls) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let last = first; ;) {
    await sleep(LOOK_MS, signal);
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
