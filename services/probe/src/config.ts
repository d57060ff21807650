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
  ROOST_TLS_CERT: path.optional(),
  ROOST_TLS_KEY: path.optional(),
  ROOST_TLS_CA: path.optional(),
});

export function readConfig(environment: Environment = process.env) {
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
  };
}

export type ProbeConfig = ReturnType<typeof readConfig>;
