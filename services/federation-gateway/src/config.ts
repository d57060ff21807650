import { access, constants } from 'node:fs/promises';

import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { parseNetwork } from '@roost/federation/address';
import { parseEndpoint } from '@roost/federation/peer-domain';
import { SPOKEN } from '@roost/federation/versions';
import { readCaFile } from '@roost/service/ca-file';
import { integer, path, variable } from '@roost/service/config';
import { z } from 'zod';

import { resolveByHosts } from './discovery/hosts.ts';

const endpoint = variable(
  'host:port where other homeservers reach this one, such as federation.example.org:8443',
  (text) => orUndefined(() => parseEndpoint(text)),
);

/** What a homeserver is told of other homeservers, in a process of its own and all in one. */
export const federationVariables = {
  ROOST_FEDERATION_ENDPOINT: endpoint,
  ROOST_FEDERATION_CA: path.optional(),
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
};

const schema = z.object(federationVariables);

/** What `federationOf` reads the rest of. */
export function federationConfig(read: z.output<typeof schema>) {
  return {
    endpoint: read.ROOST_FEDERATION_ENDPOINT,
    caFile: read.ROOST_FEDERATION_CA,
    hostsFile: read.ROOST_FEDERATION_HOSTS,
    allowed: read.ROOST_FEDERATION_ALLOWED_NETWORKS ?? [],
    wellKnownPort: read.ROOST_FEDERATION_WELL_KNOWN_PORT,
    auditDays: read.ROOST_FEDERATION_AUDIT_DAYS,
  };
}

/** The parts of what `openFederation` takes that the environment decides. */
export async function federationOf(config: ReturnType<typeof federationConfig>) {
  const { endpoint: reached, caFile, hostsFile, allowed, wellKnownPort, auditDays } = config;
  return {
    config: {
      ...{ allowed, wellKnownPort, auditDays },
      about: { endpoint: reached, protocol: SPOKEN, pins: [] },
    },
    ports: {
      trust: { ca: await readCaFile('ROOST_FEDERATION_CA', caFile) },
      resolve: hostsFile === undefined ? undefined : resolveByHosts(await readable(hostsFile)),
    },
  };
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
