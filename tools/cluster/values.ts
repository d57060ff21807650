import type { Options } from './options.ts';

export const NAMESPACE = 'roost-trial';
/** What the release is called, in whichever namespace. */
export const RELEASE = 'roost';

/** The home domain of the release of a namespace: the name by which pods reach its edge. */
export function domainIn(namespace: string): string {
  return `${RELEASE}-edge.${namespace}.svc.cluster.local`;
}

type Values = Readonly<Record<string, unknown>>;

const RESOURCES = { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '512Mi' } };
/** What a chart has that knows nothing of federation. */
const SERVICES = ['as', 'aas', 'qs', 'ds'];

/** One service, on a machine that has little room. */
export function serviceOf(replicas: number): Values {
  return { replicas, resources: RESOURCES, env: { UV_THREADPOOL_SIZE: 2 } };
}

/** Two of everything, three NATS. */
export function valuesOf(options: Options): Values {
  return homeserver(options, NAMESPACE, { replicas: 2, nats: 3 });
}

interface Size {
  readonly replicas: number;
  readonly nats: number;
}

function homeserver({ image, servers }: Options, namespace: string, size: Size) {
  const of = (name: string) => (servers === undefined ? {} : { image: `${servers}/${name}:dev` });
  const { replicas } = size;
  return {
    domain: domainIn(namespace),
    ...imageValues(image),
    edge: {
      ...{ replicas, resources: RESOURCES, service: { type: 'ClusterIP' }, ...of('envoy') },
      drainSeconds: 5,
    },
    services: Object.fromEntries(SERVICES.map((name) => [name, serviceOf(replicas)])),
    postgresql: { bundled: true, ...of('postgres'), storage: '1Gi' },
    nats: { bundled: true, replicas: size.nats, ...of('nats') },
    redis: { bundled: true, ...of('valkey') },
    addressCalls: { burst: 500_000, perSecond: 500_000 },
    // A node that is gone is not waited for.
    pods: {
      tolerations: ['not-ready', 'unreachable'].map((why) => ({
        ...{ key: `node.kubernetes.io/${why}`, operator: 'Exists' },
        ...{ effect: 'NoExecute', tolerationSeconds: 10 },
      })),
    },
  };
}

/** The image of our services, as the chart wants to hear it. */
export function imageValues(image: string): Values {
  const at = image.lastIndexOf(':');
  return { image: { repository: image.slice(0, at), tag: image.slice(at + 1) } };
}

/** The Secrets that homeservers which speak to each other have besides: `door` and `peers`. */
export const PEER_SECRETS = { door: 'trial-door', peers: 'trial-peers' } as const;

/** A homeserver that speaks to that of another namespace; one that was there before stays as large as it was. */
export function federatedOf(options: Options, namespace: string, other: string): Values {
  const size = namespace === NAMESPACE ? { replicas: 2, nats: 3 } : { replicas: 1, nats: 1 };
  const values = homeserver(options, namespace, size);
  const door = { from: 'secret', secret: PEER_SECRETS.door };
  return {
    ...values,
    // Anybody: the other one's story has a user here.
    registration: 'open',
    edge: { ...values.edge, door },
    services: { ...values.services, 'federation-gateway': serviceOf(size.replicas) },
    federation: {
      enabled: true,
      endpoint: `${RELEASE}-federation-edge.${namespace}.svc.cluster.local:8448`,
      // Where pods and Services are.
      allowedNetworks: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
      ca: { secret: PEER_SECRETS.peers },
      edge: {
        ...{ replicas: size.replicas, resources: RESOURCES, service: { type: 'ClusterIP' }, door },
        drainSeconds: 5,
      },
    },
    tests: { ca: { secret: PEER_SECRETS.peers }, peer: { domain: domainIn(other) } },
  };
}
