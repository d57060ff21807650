import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CHART } from '../chart/render.ts';
import { root } from '../steps.ts';
import { federate } from './federate.ts';
import { type Cluster, until } from './kubectl.ts';
import { LOAD, LoadPod } from './load.ts';
import type { Options } from './options.ts';
import { OURS, Release } from './release.ts';
import { restore } from './restore.ts';
import { imageValues, serviceOf, valuesOf } from './values.ts';

interface Named {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

interface Pod extends Named {
  readonly spec: { readonly nodeName?: string };
}

interface Secret extends Named {
  readonly data?: Readonly<Record<string, string>>;
}

const SERVICES = ['as', 'aas', 'qs', 'ds', 'edge'];
const MINUTE_S = 60;

/** What is done to a cluster, one after the other; each tells in a line what came of it. */
export class Steps {
  readonly #cluster: Cluster;
  readonly #options: Options;
  readonly #load: LoadPod;
  readonly #release: Release;

  constructor(cluster: Cluster, options: Options) {
    this.#cluster = cluster;
    this.#options = options;
    this.#load = new LoadPod(cluster);
    this.#release = new Release(cluster);
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
      await this.#release.settled(each);
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
      .filter(({ metadata }) => metadata.name === LOAD || metadata.name.includes('postgresql'))
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
    for (const name of SERVICES)
      await this.#release.settled(`deployment/roost-${name}`, 5 * MINUTE_S);
    order(nodeUp);
    await until('the node is back', 180_000, async () =>
      (await this.#isReady(victim)) ? true : undefined,
    );
    await this.#allSettled();
    return `${victim} was missed after ${missedS} s; ${await this.#load.lastLine()}`;
  }

  /** The DS is made to have too much to do for what it asked for. */
  async scale(): Promise<string> {
    const metrics = await this.#cluster.tryKubectl(['top', 'pods']);
    if (!metrics.ok) return 'left out: the cluster tells no processor times (metrics-server)';
    const autoscaling = { enabled: true, min: 2, max: 4, cpuPercent: 5 };
    const values = valuesOf(this.#options);
    const services = { ...Object(values['services']), ds: { ...serviceOf(2), autoscaling } };
    await this.#release.upgrade(CHART, { ...values, services });
    const replicas = await until('the DS is scaled', 300_000, async () => {
      const { status } = await this.#cluster.get<{ status: { readyReplicas?: number } }>([
        ...['deployment', 'roost-ds'],
      ]);
      return (status.readyReplicas ?? 0) > 2 ? status.readyReplicas : undefined;
    });
    await this.#upgrade(CHART);
    return `ds went from 2 to ${replicas} by its processor time; ${await this.#load.lastLine()}`;
  }

  /** From what another commit had to what this one has, and back, and here again. */
  async upgrade(): Promise<string> {
    const { previous, previousImage } = this.#options;
    const folder = mkdtempSync(join(tmpdir(), 'roost-previous-'));
    try {
      const archive = execFileSync('git', ['archive', previous, 'charts'], { cwd: root });
      execFileSync('tar', ['-x', '-C', folder], { input: archive });
      const chart = join(folder, 'charts/roost');
      await this.#upgrade(chart, previousImage === undefined ? {} : imageValues(previousImage));
      await this.#upgrade(CHART);
      await this.#cluster.helm(['rollback', 'roost', '--wait', '--timeout', '10m']);
      await this.#upgrade(CHART);
      const name = execFileSync('git', ['rev-parse', '--short', previous], {
        cwd: root,
        encoding: 'utf8',
      });
      const what = previousImage === undefined ? 'the chart of' : 'chart and image of';
      return `${what} ${name.trim()} → here → back → here; ${await this.#load.lastLine()}`;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** Keys stay, passwords stay, data stays: those who write find everything as it was. */
  async again(): Promise<string> {
    const before = await this.#kept();
    const incarnation = await this.#release.incarnation();
    await this.#cluster.helm(['uninstall', 'roost', '--wait', '--timeout', '5m']);
    await until('all pods but those who write are gone', 180_000, async () => {
      const { items } = await this.#cluster.get<{ items: Pod[] }>(['pods', '--selector', OURS]);
      return items.every(({ metadata }) => metadata.name === LOAD) ? true : undefined;
    });
    await this.#upgrade(CHART, incarnation);
    const after = await this.#kept();
    for (const [name, data] of before) {
      if (after.get(name) !== data) throw new Error(`${name} is another than it was`);
    }
    return `${before.size} Secrets are what they were; ${await this.#load.lastLine()}`;
  }

  async finish(): Promise<string> {
    return await this.#load.finish();
  }

  /** Its databases are lost, and are what they were when they were dumped. */
  async restore(): Promise<string> {
    return await restore(this.#release, this.#options);
  }

  /** With a second homeserver, which is there for this alone. */
  async federate(): Promise<string> {
    return await federate(this.#release, this.#options);
  }

  /** The Secrets of the plan. */
  async #kept(): Promise<Map<string, string>> {
    const { items } = await this.#cluster.get<{ items: Secret[] }>(['secrets', '--selector', OURS]);
    return new Map(items.map(({ metadata, data }) => [metadata.name, JSON.stringify(data)]));
  }

  async #upgrade(chart: string, more: object = {}): Promise<void> {
    await this.#release.upgrade(chart, { ...valuesOf(this.#options), ...more });
  }

  async #isReady(node: string): Promise<boolean> {
    const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    return (await this.#cluster.kubectl(['get', 'node', node, '--output', path])) === 'True';
  }

  async #allSettled(): Promise<void> {
    for (const name of [...SERVICES, 'redis'])
      await this.#release.settled(`deployment/roost-${name}`);
    for (const name of ['nats', 'postgresql'])
      await this.#release.settled(`statefulset/roost-${name}`);
  }
}
