import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Cluster } from './kubectl.ts';
import { RELEASE } from './values.ts';

export const OURS = `app.kubernetes.io/instance=${RELEASE}`;

const MINUTE_S = 60;

/** The release of a namespace. */
export class Release {
  readonly cluster: Cluster;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** Installs it, or makes another of what is there; waits until it is ready. What databases were restored to stays. */
  async upgrade(chart: string, values: object): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'roost-values-'));
    try {
      const file = join(folder, 'values.json');
      writeFileSync(file, JSON.stringify({ ...(await this.incarnation()), ...values }));
      await this.cluster.helm([
        ...['upgrade', '--install', RELEASE, chart, '--values', file],
        ...['--wait', '--timeout', '10m'],
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  async settled(resource: string, seconds = 5 * MINUTE_S): Promise<void> {
    await this.cluster.kubectl(['rollout', 'status', resource, `--timeout=${seconds}s`]);
  }

  async scale(resource: string, replicas: number): Promise<void> {
    await this.cluster.kubectl(['scale', resource, `--replicas=${replicas}`]);
  }

  /** What roostctl prints in the operator's pod, which has been started. */
  async roostctl(...args: readonly string[]): Promise<string> {
    return await this.cluster.kubectl(['exec', OPERATOR, '--', 'roostctl', ...args]);
  }

  /** And what it says where it fails. */
  async failingRoostctl(...args: readonly string[]): Promise<string> {
    const said = await this.cluster.tryKubectl(['exec', OPERATOR, '--', 'roostctl', ...args]);
    if (said.ok) throw new Error(`roostctl ${args.join(' ')} was to fail, and says:\n${said.all}`);
    return said.all;
  }

  async startOperator(): Promise<void> {
    await this.scale(OPERATOR, 1);
    await this.settled(OPERATOR);
  }

  /** None where there is no release yet, or where its databases were never restored. */
  async incarnation(): Promise<{ incarnation?: number }> {
    const said = await this.cluster.tryHelm(['get', 'values', RELEASE, '--output', 'json']);
    if (!said.ok) return {};
    const { incarnation } = (JSON.parse(said.out) ?? {}) as { incarnation?: number };
    return incarnation === undefined ? {} : { incarnation };
  }
}

const OPERATOR = `deployment/${RELEASE}-operator`;
