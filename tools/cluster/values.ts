import type { Options } from './options.ts';

export const DOMAIN = 'home.example';

const RESOURCES = { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '512Mi' } };

/** Two of everything, three NATS, on a machine that has little room. */
export function valuesOf({ image, servers }: Options, more: object = {}): string {
  const at = image.lastIndexOf(':');
  const of = (name: string) => (servers === undefined ? {} : { image: `${servers}/${name}:dev` });
  const service = { replicas: 2, resources: RESOURCES, env: { UV_THREADPOOL_SIZE: 2 } };
  return JSON.stringify({
    domain: DOMAIN,
    image: { repository: image.slice(0, at), tag: image.slice(at + 1) },
    edge: {
      ...{ replicas: 2, resources: RESOURCES, service: { type: 'ClusterIP' }, ...of('envoy') },
      drainSeconds: 5,
    },
    services: { as: service, aas: service, qs: service, ds: service },
    postgresql: { bundled: true, ...of('postgres'), storage: '1Gi' },
    nats: { bundled: true, replicas: 3, ...of('nats') },
    redis: { bundled: true, ...of('valkey') },
    addressCalls: { burst: 500_000, perSecond: 500_000 },
    // A node that is gone is not waited for.
    pods: {
      tolerations: ['not-ready', 'unreachable'].map((why) => ({
        ...{ key: `node.kubernetes.io/${why}`, operator: 'Exists' },
        ...{ effect: 'NoExecute', tolerationSeconds: 10 },
      })),
    },
    ...more,
  });
}
