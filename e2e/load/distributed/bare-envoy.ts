import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Door } from '@roost/e2e/door';
import { fetchServer } from '@roost/e2e/servers/fetch';
import { Launched } from '@roost/e2e/servers/launch';
import { Run } from '@roost/e2e/servers/run';
import { makeSelfSigned } from '@roost/e2e/servers/self-signed';

/** An Envoy that has TLS in front and hands everything on, and nothing else. */
export interface BareEnvoy extends AsyncDisposable {
  readonly door: Door;
  readonly pid: number;
}

export async function openBareEnvoy(upstreamPort: number): Promise<BareEnvoy> {
  const run = Run.current();
  const folder = run.makeFolder('bare-envoy');
  const { cert, key, ca } = makeSelfSigned(folder);
  const [port, adminPort] = [await run.takePort(), await run.takePort()];
  const config = join(folder, 'envoy.json');
  writeFileSync(config, JSON.stringify(configOf({ port, adminPort, upstreamPort, cert, key })));
  const { path } = await fetchServer('envoy');
  const envoy = await Launched.start({
    ...{ name: 'bare-envoy', command: path, logs: folder },
    args: [
      ...['--config-path', config, '--log-level', 'warning', '--concurrency', '1'],
      '--disable-hot-restart',
    ],
  });
  await envoy.until('ready', async () => await isReady(adminPort));
  return {
    door: { address: `127.0.0.1:${port}`, ca },
    pid: envoy.pid,
    [Symbol.asyncDispose]: async () => await envoy.kill(),
  };
}

async function isReady(adminPort: number): Promise<true | undefined> {
  try {
    const { status } = await fetch(`http://127.0.0.1:${adminPort}/ready`);
    return status === 200 || undefined;
  } catch {
    return undefined;
  }
}

const TYPE = 'type.googleapis.com/envoy.extensions';

interface Ends {
  readonly port: number;
  readonly adminPort: number;
  readonly upstreamPort: number;
  readonly cert: string;
  readonly key: string;
}

function configOf({ port, adminPort, upstreamPort, cert, key }: Ends) {
  const local = (number: number) => ({
    socket_address: { address: '127.0.0.1', port_value: number },
  });
  const http2 = { explicit_http_config: { http2_protocol_options: {} } };
  return {
    admin: { address: local(adminPort) },
    static_resources: {
      listeners: [{ address: local(port), filter_chains: [chainOf(cert, key)] }],
      clusters: [
        {
          ...{ name: 'echo', type: 'STATIC', connect_timeout: '1s' },
          load_assignment: {
            cluster_name: 'echo',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: local(upstreamPort) } }] }],
          },
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
              ...http2,
            },
          },
        },
      ],
    },
  };
}

function chainOf(cert: string, key: string) {
  const certificates = [{ certificate_chain: { filename: cert }, private_key: { filename: key } }];
  return {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
        common_tls_context: { alpn_protocols: ['h2'], tls_certificates: certificates },
      },
    },
    filters: [
      {
        name: 'envoy.filters.network.http_connection_manager',
        typed_config: {
          '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
          ...{ stat_prefix: 'bare', codec_type: 'HTTP2' },
          route_config: {
            virtual_hosts: [
              {
                ...{ name: 'all', domains: ['*'] },
                routes: [{ match: { prefix: '/' }, route: { cluster: 'echo' } }],
              },
            ],
          },
          http_filters: [
            {
              name: 'envoy.filters.http.router',
              typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` },
            },
          ],
        },
      },
    ],
  };
}
