import type { Domain } from '@roost/core/ids';
import {
  type Environment,
  homeDomain,
  path,
  readEnvironment,
  variable,
} from '@roost/service/config';
import { addresses } from '@roost/service/process-config';
import { z } from 'zod';

const address = variable('host:port', (text) =>
  /^[^\s:]+:\d{1,5}$/.test(text) ? text : undefined,
);

const schema = z.object({
  ROOST_DOMAIN: homeDomain,
  ROOST_PROBE_EDGE: address,
  ROOST_PROBE_EDGE_NAME: variable('a name', (text) => text),
  ROOST_PROBE_CA: path.optional(),
  ROOST_PROBE_AS: addresses.optional(),
  ROOST_PROBE_PEER_DOMAIN: homeDomain.optional(),
  ROOST_PROBE_PEER_EDGE: address.optional(),
  ROOST_PROBE_PEER_CA: path.optional(),
  ROOST_TLS_CERT: path.optional(),
  ROOST_TLS_KEY: path.optional(),
  ROOST_TLS_CA: path.optional(),
});

/** A homeserver, as its users reach it. */
export interface Home {
  readonly domain: Domain;
  readonly edge: {
    readonly address: string;
    readonly name: string;
    readonly ca: string | undefined;
  };
  /** Where invite codes are made, where codes are asked for, and as whom. */
  readonly authentication?: readonly string[] | undefined;
  readonly operator?:
    | { readonly cert: string; readonly key: string; readonly ca: string }
    | undefined;
}

export interface ProbeConfig extends Home {
  /** Another homeserver, where anybody may register: the second user of the story is there. */
  readonly peer: Home | undefined;
}

export function readConfig(environment: Environment = process.env): ProbeConfig {
  const read = readEnvironment(schema, environment);
  const { ROOST_TLS_CERT: cert, ROOST_TLS_KEY: key, ROOST_TLS_CA: ca } = read;
  return {
    domain: read.ROOST_DOMAIN,
    edge: {
      address: read.ROOST_PROBE_EDGE,
      name: read.ROOST_PROBE_EDGE_NAME,
      ca: read.ROOST_PROBE_CA,
    },
    authentication: read.ROOST_PROBE_AS,
    operator: cert && key && ca ? { cert, key, ca } : undefined,
    peer: peerOf(read),
  };
}

function peerOf({
  ROOST_PROBE_PEER_DOMAIN: domain,
  ROOST_PROBE_PEER_EDGE: edge,
  ROOST_PROBE_PEER_CA: ca,
}: z.output<typeof schema>): Home | undefined {
  if (domain === undefined || edge === undefined) return undefined;
  return { domain, edge: { address: edge, name: domain, ca } };
}
