import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CHART } from '../chart/render.ts';
import { root } from '../steps.ts';
import { type Cluster, until } from './kubectl.ts';
import { LoadPod } from './load.ts';
import type { Options } from './options.ts';
import { valuesOf } from './values.ts';

interface Named {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

interface Pod extends Named {
  readonly spec: { readonly nodeName?: string };
}

interface Secret extends Named {
  readonly data?: Readonly<Record<string, string>>;
}

const OURS = 'app.kubernetes.io/instance=roost';
const SERVICES = ['as', 'aas', 'qs', 'ds', 'edge'];
const MINUTE_S = 60;

/** What is done to a cluster, one after the other; each tells in a line what came of it. */
export class Steps {
  readonly #cluster: Cluster;
  readonly #options: Options;
  readonly #load: LoadPod;

  constructor(cluster: Cluster, options: Options) {
    this.#cluster = cluster;
    this.#options = options;
    this.#load = new LoadPod(cluster);
  }

  /** The server takes what every profile makes of the chart, as far as it knows the kinds. */
  async apply(): Promise<string> {
    const resources = (await this.#cluster.kubectl(['api-resources', '--output', 'name'])).split(
      '\n',
    );
    const has = (group: string): boolean => resources.some((name) => name.endsWith(group));
    const left = ['monitoring.coreos.com', 'cert-manager.io', 'keda.sh'].filter(
      (group) => !has(group),
    );
    for (const profile of ['small', 'medium', 'large']) {
      const text = await this.#cluster.helm([
        ...['template', 'roost', CHART, '--values', join(CHART, `ci/${profile}-values.yaml`)],
      ]);
      const known = text
        .split(/^---$/m)
        .filter((document) => document.trim() !== '')
        .filter((document) => !left.some((group) => document.includes(`apiVersion: ${group}/`)));
      const args = ['apply', '--server-side', '--dry-run=server', '--filename', '-'];
      await this.#cluster.kubectl(args, known.join('\n---\n'));
    }
    return left.length === 0
      ? 'all kinds'
      : `left out, as the cluster has them not: ${left.join(', ')}`;
  }

  async install(): Promise<string> {
    await this.#upgrade(CHART);
    const pods = await this.#cluster.get<{ items: Pod[] }>(['pods', '--selector', OURS]);
    const nodes = new Set(pods.items.map(({ spec }) => spec.nodeName));
    return `${pods.items.length} pods on ${nodes.size} nodes`;
  }

  /** The story through the edge, and whom the policies keep apart. */
  async test(): Promise<string> {
    const said = await this.#cluster.helm(['test', 'roost', '--timeout', '5m']);
    return `${(said.match(/Phase:\s+Succeeded/g) ?? []).length} test pods succeeded`;
  }

  async load(): Promise<string> {
    return await this.#load.start(this.#options);
  }

  /** Everything that a Deployment or a StatefulSet holds, but what has no second. */
  async roll(): Promise<string> {
    const rolled = [
      ...SERVICES.map((name) => `deployment/roost-${name}`),
      'statefulset/roost-nats',
    ];
    for (const each of rolled) {
      await this.#cluster.kubectl(['rollout', 'restart', each]);
      await this.#settled(each);
    }
    return `${rolled.length} rolled; ${await this.#load.lastLine()}`;
  }

  async kill(): Promise<string> {
    const names = [...SERVICES, 'nats', 'redis'];
    for (const component of names) {
      const selector = `${OURS},app.kubernetes.io/component=${component}`;
      const { items } = await this.#cluster.get<{ items: Pod[] }>(['pods', '--selector', selector]);
      const victim = items[0]?.metadata.name ?? '';
      await this.#cluster.kubectl(['delete', 'pod', victim, '--grace-period=0', '--force']);
    }
    await this.#allSettled();
    return `one pod each of ${names.join(', ')}; ${await this.#load.lastLine()}`;
  }

  /** One that holds nothing that has no second. */
  async node(): Promise<string> {
    const { nodeDown, nodeUp } = this.#options;
    if (nodeDown === undefined || nodeUp === undefined)
      return 'left out: nobody said how (--node-down)';
    const { items } = await this.#cluster.get<{ items: Pod[] }>(['pods', '--selector', OURS]);
    const held = items
      .filter(
        ({ metadata }) => metadata.name === 'roost-load' || metadata.name.includes('postgresql'),
      )
      .map(({ spec }) => spec.nodeName);
    const nodes = await this.#cluster.get<{ items: Named[] }>(['nodes']);
    const victim = nodes.items
      .map(({ metadata }) => metadata.name)
      .find((name) => !held.includes(name));
    if (victim === undefined) return 'left out: every node holds something that has no second';
    const order = (command: string) =>
      execFileSync('sh', ['-c', `${command} ${victim}`], { stdio: 'pipe' });
    order(nodeDown);
    const began = Date.now();
    // Its pods are missed, and others take their place.
    await until('the node is missed', 180_000, async () =>
      (await this.#isReady(victim)) ? undefined : true,
    );
    const missedS = Math.round((Date.now() - began) / 1000);
    for (const name of SERVICES) await this.#settled(`deployment/roost-${name}`, 5 * MINUTE_S);
    order(nodeUp);
    await until('the node is back', 180_000, async () =>
      (await this.#isReady(victim)) ? true : undefined,
    );
    await this.#allSettled();
    return `${victim} was missed after ${missedS} s; ${await this.#load.lastLine()}`;
  }

  /** The AAS is made to have too much to do for what it asked for. */
  async scale(): Promise<string> {
    const metrics = await this.#cluster.tryKubectl(['top', 'pods']);
    if (!metrics.ok) return 'left out: the cluster tells no processor times (metrics-server)';
    const autoscaling = { enabled: true, min: 2, max: 4, cpuPercent: 5 };
    const more = {
      services: { ds: { ...JSON.parse(valuesOf(this.#options)).services.ds, autoscaling } },
    };
    const { services } = JSON.parse(valuesOf(this.#options)) as { services: object };
    await this.#upgrade(CHART, { services: { ...services, ...more.services } });
    const replicas = await until('the DS is scaled', 300_000, async () => {
      const { status } = await this.#cluster.get<{ status: { readyReplicas?: number } }>([
        ...['deployment', 'roost-ds'],
      ]);
      return (status.readyReplicas ?? 0) > 2 ? status.readyReplicas : undefined;
    });
    await this.#upgrade(CHART);
    return `ds went from 2 to ${replicas} by its processor time; ${await this.#load.lastLine()}`;
  }

  /** From the chart of another commit to this one's, and back, and here again. */
  async upgrade(): Promise<string> {
    const { previous } = this.#options;
    const folder = mkdtempSync(join(tmpdir(), 'roost-previous-'));
    try {
      const archive = execFileSync('git', ['archive', previous, 'charts'], { cwd: root });
      execFileSync('tar', ['-x', '-C', folder], { input: archive });
      const chart = join(folder, 'charts/roost');
      await this.#upgrade(chart);
      await this.#upgrade(CHART);
      await this.#cluster.helm(['rollback', 'roost', '--wait', '--timeout', '10m']);
      await this.#upgrade(CHART);
      const name = execFileSync('git', ['rev-parse', '--short', previous], {
        cwd: root,
        encoding: 'utf8',
      });
      return `${name.trim()} → here → back → here; ${await this.#load.lastLine()}`;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** Keys stay, passwords stay, data stays: those who write find everything as it was. */
  async again(): Promise<string> {
    const before = await this.#kept();
    await this.#cluster.helm(['uninstall', 'roost', '--wait', '--timeout', '5m']);
    await until('all pods but those who write are gone', 180_000, async () => {
      const { items } = await this.#cluster.get<{ items: Pod[] }>(['pods', '--selector', OURS]);
      return items.every(({ metadata }) => metadata.name === 'roost-load') ? true : undefined;
    });
    await this.#upgrade(CHART);
    const after = await this.#kept();
    for (const [name, data] of before) {
      if (after.get(name) !== data) throw new Error(`${name} is another than it was`);
    }
    return `${before.size} Secrets are what they were; ${await this.#load.lastLine()}`;
  }

  async finish(): Promise<string> {
    return await this.#load.finish();
  }

  /** The Secrets of the plan. */
  async #kept(): Promise<Map<string, string>> {
    const { items } = await this.#cluster.get<{ items: Secret[] }>(['secrets', '--selector', OURS]);
    return new Map(items.map(({ metadata, data }) => [metadata.name, JSON.stringify(data)]));
  }

  async #upgrade(chart: string, more?: object): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'roost-values-'));
    try {
      const file = join(folder, 'values.json');
      writeFileSync(file, valuesOf(this.#options, more));
      await this.#cluster.helm([
        ...['upgrade', '--install', 'roost', chart, '--values', file, '--wait', '--timeout', '10m'],
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  async #isReady(node: string): Promise<boolean> {
    const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    return (await this.#cluster.kubectl(['get', 'node', node, '--output', path])) === 'True';
  }

  async #allSettled(): Promise<void> {
    for (const name of [...SERVICES, 'redis']) await this.#settled(`deployment/roost-${name}`);
    for (const name of ['nats', 'postgresql']) await this.#settled(`statefulset/roost-${name}`);
  }

  async #settled(resource: string, seconds = 5 * MINUTE_S): Promise<void> {
    await this.#cluster.kubectl(['rollout', 'status', resource, `--timeout=${seconds}s`]);
  }
}
