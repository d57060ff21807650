import { TOKEN_CLASS_HEADER } from '@roost/rpc/access';
import { SOURCE_HEADER } from '@roost/rpc/destination';

import type { EdgeConfig } from './config.ts';
import { filtersOf } from './filters.ts';
import { listenerOf, managerOf } from './listener.ts';
import { routesOf } from './routes.ts';
import type { Json } from './typed.ts';

/** The public door: TLS, then HTTP/2 or HTTP/1.1. */
export function doorOf(config: EdgeConfig): Json {
  return listenerOf({
    ...{ name: 'door', listen: config.listen, tls: tlsOf(config) },
    filters: [
      managerOf(config, {
        statPrefix: 'edge',
        httpFilters: filtersOf(config),
        routes: routesOf(config),
        windows: { stream: 64 << 10, connection: 1 << 20 },
        stripped: [TOKEN_CLASS_HEADER, SOURCE_HEADER],
      }),
    ],
  });
}

function tlsOf({ door }: EdgeConfig) {
  return {
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: 'TLSv1_2',
        tls_maximum_protocol_version: 'TLSv1_3',
        // Of TLS 1.2 what RFC 9325 recommends.
        cipher_suites: [
          '[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]',
          '[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]',
          'ECDHE-ECDSA-AES256-GCM-SHA384',
          'ECDHE-RSA-AES256-GCM-SHA384',
        ],
      },
      alpn_protocols: ['h2', 'http/1.1'],
      tls_certificates: [
        { certificate_chain: { filename: door.cert }, private_key: { filename: door.key } },
      ],
    },
  };
}
