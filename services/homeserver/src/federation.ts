import { X509Certificate } from 'node:crypto';
import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { parsePeerDomain } from '@roost/federation/peer-domain';
import {
  federationConfig,
  federationOf,
  federationVariables,
} from '@roost/federation-gateway/config';
import { isCertificateOf } from '@roost/rpc/client';
import type { ServeOptions } from '@roost/rpc/server';
import {
  type Environment,
  type ListenAddress,
  listenAddress,
  readEnvironment,
} from '@roost/service/config';
import { z } from 'zod';
import type { Files } from './listen.ts';

const schema = z.object({
  ROOST_FEDERATION_LISTEN: listenAddress,
  ...federationVariables,
});

/** What the environment says of other homeservers; `undefined` where this one shall not meet any. */
export function readFederationConfig(environment: Environment) {
  const { ROOST_FEDERATION_LISTEN: set, ROOST_FEDERATION_LISTEN_FILE: file } = environment;
  if (!set && !file) return undefined;
  const read = readEnvironment(schema, environment);
  return { ...federationConfig(read), listen: read.ROOST_FEDERATION_LISTEN };
}

/** What it takes to meet other homeservers. */
export interface Federation extends Awaited<ReturnType<typeof federationOf>> {
  readonly listen: ListenAddress;
  readonly tls: NonNullable<ServeOptions['tls']>;
}

/** Reads what the configuration names, and refuses what no other homeserver would believe. */
export async function prepareFederation(
  config: NonNullable<ReturnType<typeof readFederationConfig>>,
  domain: Domain,
  clientFiles: Files | undefined,
): Promise<Federation> {
  assertFindable(domain);
  const { certificateFiles: own, listen } = config;
  const isOwn = own.cert !== undefined || own.key !== undefined;
  const certificateFiles = isOwn ? own : { cert: clientFiles?.cert, key: clientFiles?.key };
  const prepared = await federationOf({ ...config, certificateFiles });
  const tls = prepared.ports.trust.certificate;
  if (tls === undefined) {
    throw new CannotStart(
      `other homeservers believe a certificate for ${domain} alone: give it by ROOST_FEDERATION_CERT and ` +
        'ROOST_FEDERATION_KEY, or by --tls-cert and --tls-key',
    );
  }
  if (!isCertificateOf(new X509Certificate(tls.cert), domain)) {
    throw new CannotStart(
      `the certificate in ${certificateFiles.cert} is not for ${domain}, so no other homeserver would believe it: give ` +
        `one whose subject alternative names hold DNS:${domain} (ROOST_FEDERATION_CERT)`,
    );
  }
  return { ...prepared, listen, tls };
}

function assertFindable(domain: Domain): void {
  try {
    parsePeerDomain(domain);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new CannotStart(
      `no other homeserver can find ${domain} (${error.message}): leave out ROOST_FEDERATION_LISTEN, or give a ` +
        'domain of its own (--domain, --data)',
      { cause: error },
    );
  }
}
