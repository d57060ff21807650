import { type Cluster, until } from './kubectl.ts';
import { domainIn, RELEASE } from './values.ts';

export const DATABASE = `statefulset/${RELEASE}-postgresql`;
const NONROOT = 65_532;
/** Who PostgreSQL runs as in the chart. */
const POSTGRES = 70;

/** A pod beside the release, which it outlives, that runs the probe as somebody whom the operator's policies let in. */
export class ProbePod {
  readonly #cluster: Cluster;
  readonly #name: string;

  constructor(cluster: Cluster, name: string) {
    this.#cluster = cluster;
    this.#name = name;
  }

  async start(image: string, args: readonly string[]): Promise<void> {
    const { namespace } = this.#cluster;
    await this.#cluster.apply(podOf(this.#name, { image, args, namespace }));
  }

  /** Waits until it has said so. */
  async says(words: string, patienceMs: number): Promise<void> {
    await until(`${this.#name} says "${words}"`, patienceMs, async () => {
      const log = await this.log();
      if (log.includes(words)) return true;
      if (await this.hasEnded()) throw new Error(`${this.#name} has ended:\n${log}`);
      return undefined;
    });
  }

  /** Runs a line of JavaScript in it. */
  async runs(line: string): Promise<void> {
    await this.#cluster.kubectl(['exec', this.#name, '--', 'node', '--eval', line]);
  }

  async log(): Promise<string> {
    return (await this.#cluster.tryKubectl(['logs', this.#name, '--tail=40'])).out;
  }

  async hasEnded(): Promise<boolean> {
    const { out } = await this.#cluster.tryKubectl([
      ...['get', 'pod', this.#name, '--output', 'jsonpath={.status.phase}'],
    ]);
    return ['Succeeded', 'Failed'].includes(out);
  }

  async remove(): Promise<void> {
    await removePod(this.#cluster, this.#name);
  }
}

/** The image of the PostgreSQL of the release. */
export async function databaseImage(cluster: Cluster): Promise<string> {
  const path = 'jsonpath={.spec.template.spec.containers[0].image}';
  return await cluster.kubectl(['get', DATABASE, '--output', path]);
}

/** Takes everything from the volume of a PostgreSQL that is stopped. */
export async function wipeVolume(cluster: Cluster, image: string): Promise<void> {
  const name = 'roost-wipe';
  await removePod(cluster, name);
  await cluster.apply(wipingPod(name, image));
  try {
    await until('the volume is empty', 120_000, async () => {
      const path = 'jsonpath={.status.phase}';
      const phase = await cluster.kubectl(['get', 'pod', name, '--output', path]);
      if (phase !== 'Failed') return phase === 'Succeeded' ? true : undefined;
      throw new Error((await cluster.tryKubectl(['logs', name])).all);
    });
  } finally {
    await removePod(cluster, name);
  }
}

async function removePod(cluster: Cluster, name: string): Promise<void> {
  await cluster.tryKubectl([
    ...['delete', 'pod', name, '--ignore-not-found', '--grace-period=1', '--timeout=60s'],
  ]);
}

const CONFINED = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

function runningAs(user: number) {
  return {
    ...{ runAsNonRoot: true, runAsUser: user, fsGroup: user },
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

function wipingPod(name: string, image: string) {
  const claimName = `data-${RELEASE}-postgresql-0`;
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: runningAs(POSTGRES),
      containers: [
        {
          ...{ name: 'wipe', image, command: ['rm', '-rf', '/data/pg', '/data/pg.new'] },
          securityContext: { ...CONFINED, readOnlyRootFilesystem: true },
          volumeMounts: [{ name: 'data', mountPath: '/data' }],
        },
      ],
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
    },
  };
}

interface Probing {
  readonly image: string;
  readonly args: readonly string[];
  readonly namespace: string;
}

function podOf(name: string, { image, args, namespace }: Probing) {
  const domain = domainIn(namespace);
  const env = {
    ROOST_DOMAIN: domain,
    ROOST_PROBE_EDGE: `${RELEASE}-edge:443`,
    ROOST_PROBE_EDGE_NAME: domain,
    ROOST_PROBE_CA: '/door/tls.crt',
    ROOST_PROBE_AS: `${RELEASE}-as:7443`,
    ROOST_TLS_CERT: '/operator/tls.crt',
    ROOST_TLS_KEY: '/operator/tls.key',
    ROOST_TLS_CA: '/operator/ca.crt',
  };
  return {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: {
      name,
      labels: {
        'app.kubernetes.io/instance': RELEASE,
        'app.kubernetes.io/part-of': 'roost',
        'roost-network': 'operator',
      },
    },
    spec: {
      restartPolicy: 'Never',
      affinity: { podAffinity: BESIDE_DATABASE },
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: runningAs(NONROOT),
      containers: [
        {
          ...{ name: 'probe', image },
          args: ['--disable-warning=ExperimentalWarning', '/app/probe/main.js', ...args],
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
          securityContext: { ...CONFINED, readOnlyRootFilesystem: true },
          volumeMounts: [
            { name: 'tmp', mountPath: '/tmp' },
            { name: 'door', mountPath: '/door' },
            { name: 'tls-operator', mountPath: '/operator' },
          ],
        },
      ],
      volumes: [{ name: 'tmp', emptyDir: {} }, volumeOf('door'), volumeOf('tls-operator')],
    },
  };
}

/** Where the database is: no other node holds what has no second. */
const BESIDE_DATABASE = {
  requiredDuringSchedulingIgnoredDuringExecution: [
    {
      topologyKey: 'kubernetes.io/hostname',
      labelSelector: { matchLabels: { 'app.kubernetes.io/component': 'postgresql' } },
    },
  ],
};

function volumeOf(name: string) {
  return { name, secret: { secretName: `${RELEASE}-${name}` } };
}
