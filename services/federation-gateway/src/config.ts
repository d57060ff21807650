import { createPrivateKey, X509Certificate } from 'node:crypto';
import { access, constants } from 'node:fs/promises';

import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { parseNetwork } from '@roost/federation/address';
import { parseEndpoint } from '@roost/federation/peer-domain';
import { SPOKEN } from '@roost/federation/versions';
import { readCaFile } from '@roost/service/ca-file';
import { integer, oneOf, path, variable } from '@roost/service/config';
import { z } from 'zod';

import { certificatesIn } from './certificates.ts';
import { resolveByHosts } from './discovery/hosts.ts';
import { outboxDefaults } from './outbox/outbox.ts';

const endpoint = variable(
  'host:port where other homeservers reach this one, such as federation.example.org:8443',
  (text) => orUndefined(() => parseEndpoint(text)),
);

/** What a homeserver is told of other homeservers, in a process of its own and all in one. */
export const federationVariables = {
  ROOST_FEDERATION_ENDPOINT: endpoint,
  ROOST_FEDERATION_CA: path.optional(),
  ROOST_FEDERATION_MTLS: oneOf('off', 'preferred', 'required').default('preferred'),
  ROOST_FEDERATION_CERT: path.optional(),
  ROOST_FEDERATION_KEY: path.optional(),
  ROOST_FEDERATION_CLIENT_CA: path.optional(),
  ROOST_FEDERATION_ALLOWED_NETWORKS: variable(
    'networks such as 10.0.0.0/8 or fd00::/8, several with commas between',
    (text) => {
      const all = text.split(',').map((each) => parseNetwork(each.trim()));
      return all.every((network) => network !== undefined) ? all : undefined;
    },
  ).optional(),
  ROOST_FEDERATION_HOSTS: path.optional(),
  ROOST_FEDERATION_WELL_KNOWN_PORT: integer(1, 65_535).default(443),
  ROOST_FEDERATION_AUDIT_DAYS: integer(1, 36_500).default(365),
  ROOST_FEDERATION_OUTBOX_ROWS: integer(1, 100_000_000).default(outboxDefaults.rowsMax),
  ROOST_FEDERATION_OUTBOX_MEGABYTES: integer(1, 1_000_000).default(
    outboxDefaults.bytesMax / 2 ** 20,
  ),
  ROOST_FEDERATION_RETRY_DAYS: integer(1, 365).default(outboxDefaults.retryDays),
};

const schema = z.object(federationVariables);

/** What `federationOf` reads the rest of. */
export function federationConfig(read: z.output<typeof schema>) {
  return {
    endpoint: read.ROOST_FEDERATION_ENDPOINT,
    caFile: read.ROOST_FEDERATION_CA,
    mtls: read.ROOST_FEDERATION_MTLS,
    certificateFiles: { cert: read.ROOST_FEDERATION_CERT, key: read.ROOST_FEDERATION_KEY },
    clientCaFile: read.ROOST_FEDERATION_CLIENT_CA,
    hostsFile: read.ROOST_FEDERATION_HOSTS,
    allowed: read.ROOST_FEDERATION_ALLOWED_NETWORKS ?? [],
    wellKnownPort: read.ROOST_FEDERATION_WELL_KNOWN_PORT,
    auditDays: read.ROOST_FEDERATION_AUDIT_DAYS,
    outbox: {
      rowsMax: read.ROOST_FEDERATION_OUTBOX_ROWS,
      bytesMax: read.ROOST_FEDERATION_OUTBOX_MEGABYTES * 2 ** 20,
      retryDays: read.ROOST_FEDERATION_RETRY_DAYS,
    },
  };
}

type FederationFiles = ReturnType<typeof federationConfig>;

/** The parts of what `openFederation` takes that the environment decides. */
export async function federationOf(config: FederationFiles) {
  const { endpoint: reached, hostsFile, allowed, wellKnownPort, auditDays, mtls, outbox } = config;
  return {
    config: {
      ...{ allowed, wellKnownPort, auditDays, mtls, outbox },
      about: { endpoint: reached, protocol: SPOKEN },
    },
    ports: {
      trust: await trustOf(config),
      resolve: hostsFile === undefined ? undefined : resolveByHosts(await readable(hostsFile)),
    },
  };
}

async function trustOf({ mtls, caFile, clientCaFile, certificateFiles }: FederationFiles) {
  const reread = async () => await certificateOf(mtls, certificateFiles);
  const clientCa = await readCaFile('ROOST_FEDERATION_CLIENT_CA', clientCaFile);
  if (clientCa !== undefined) assertCertificates(clientCa);
  const ca = await readCaFile('ROOST_FEDERATION_CA', caFile);
  return { ca, clientCa, certificate: await reread(), reread };
}

async function certificateOf(
  mtls: FederationFiles['mtls'],
  certificateFiles: FederationFiles['certificateFiles'],
) {
  const [certName, keyName] = ['ROOST_FEDERATION_CERT', 'ROOST_FEDERATION_KEY'];
  const cert = await readCaFile(certName, certificateFiles.cert);
  const key = await readCaFile(keyName, certificateFiles.key);
  if ((cert === undefined) !== (key === undefined)) {
    throw new CannotStart(`${certName} and ${keyName} belong together: give both, or none`);
  }
  if (mtls === 'required' && cert === undefined) {
    throw new CannotStart(`ROOST_FEDERATION_MTLS is required: give ${certName} and ${keyName}`);
  }
  const certificate = cert === undefined || key === undefined ? undefined : { cert, key };
  if (certificate !== undefined) assertPair(certificate);
  return certificate;
}

function assertPair({ cert, key }: { readonly cert: string; readonly key: string }): void {
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return;
  } catch {
    // What was wrong with it is not told: it may be the key.
  }
  throw new CannotStart(
    'ROOST_FEDERATION_CERT and ROOST_FEDERATION_KEY are no certificate and its key, PEM: give both of one',
  );
}

function assertCertificates(pem: string): void {
  try {
    if (certificatesIn(pem).length > 0) return;
  } catch {
    // The sentence is the same.
  }
  throw new CannotStart('ROOST_FEDERATION_CLIENT_CA holds no certificates, PEM: give some');
}

async function readable(file: string): Promise<string> {
  // It is read when a name is looked up: what is wrong with it is said before.
  await access(file, constants.R_OK).catch((error: unknown) => {
    throw new CannotStart(`ROOST_FEDERATION_HOSTS: ${file} cannot be read (${String(error)})`, {
      cause: error,
    });
  });
  return file;
}

function orUndefined<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}
