import { type Cluster, until } from './kubectl.ts';
import type { Options } from './options.ts';
import { DOMAIN } from './values.ts';

const NAME = 'roost-load';

/** Users who write to each other, in a pod beside the release: it outlives the release. */
export class LoadPod {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async start(options: Options): Promise<string> {
    await this.#cluster.kubectl(['apply', '--filename', '-'], podOf(options));
    return await until('pairs write to each other', 300_000, async () => {
      const log = await this.#log();
      if (await this.#hasEnded()) throw new Error(`it ended at once:\n${log}`);
      return log.includes('write to each other') ? this.lastLine() : undefined;
    });
  }

  async lastLine(): Promise<string> {
    return (await this.#log()).trim().split('\n').at(-1) ?? '';
  }

  /** Nothing more is sent; what is under way comes. The last lines, or what is wrong. */
  async finish(): Promise<string> {
    const stop = ['node', '--eval', "process.kill(1, 'SIGTERM')"];
    await this.#cluster.kubectl(['exec', NAME, '--', ...stop]);
    await until('the load has ended', 400_000, async () =>
      (await this.#hasEnded()) ? true : undefined,
    );
    const lines = (await this.#log()).trim().split('\n').slice(-3).join('\n');
    if (!lines.includes('everything that was sent came')) throw new Error(lines);
    return lines;
  }

  async #log(): Promise<string> {
    return (await this.#cluster.tryKubectl(['logs', NAME, '--tail=40'])).out;
  }

  async #hasEnded(): Promise<boolean> {
    const { out } = await this.#cluster.tryKubectl([
      ...['get', 'pod', NAME, '--output', 'jsonpath={.status.phase}'],
    ]);
    return ['Succeeded', 'Failed'].includes(out);
  }
}

function podOf({ image, pairs, everyMs }: Options): string {
  const env = {
    ROOST_DOMAIN: DOMAIN,
    ROOST_PROBE_EDGE: 'roost-edge:443',
    ROOST_PROBE_EDGE_NAME: DOMAIN,
    ROOST_PROBE_CA: '/door/tls.crt',
    ROOST_PROBE_AS: 'roost-as:7443',
    ROOST_TLS_CERT: '/operator/tls.crt',
    ROOST_TLS_KEY: '/operator/tls.key',
    ROOST_TLS_CA: '/operator/ca.crt',
  };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: NAME,
      labels: {
        'app.kubernetes.io/instance': 'roost',
        'app.kubernetes.io/part-of': 'roost',
        'roost-network': 'operator',
      },
    },
    spec: {
      restartPolicy: 'Never',
      // Where the database is: no other node holds what has no second.
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            {
              topologyKey: 'kubernetes.io/hostname',
              labelSelector: { matchLabels: { 'app.kubernetes.io/component': 'postgresql' } },
            },
          ],
        },
      },
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        ...{ runAsNonRoot: true, runAsUser: 65_532, fsGroup: 65_532 },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'load',
          image,
          args: [
            ...['--disable-warning=ExperimentalWarning', '/app/probe/main.js', 'load'],
            ...[String(pairs), String(everyMs)],
          ],
          env: Object.entries(env).map(([name, value]) => ({ name, value })),
          securityContext: {
            ...{ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            readOnlyRootFilesystem: true,
          },
          volumeMounts: [
            { name: 'tmp', mountPath: '/tmp' },
            { name: 'door', mountPath: '/door' },
            { name: 'tls-operator', mountPath: '/operator' },
          ],
        },
      ],
      volumes: [{ name: 'tmp', emptyDir: {} }, volumeOf('door'), volumeOf('tls-operator')],
    },
  });
}

function volumeOf(name: string) {
  return { name, secret: { secretName: `roost-${name}` } };
}
