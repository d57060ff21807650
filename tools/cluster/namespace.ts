import type { Cluster } from './kubectl.ts';
import { databaseImage, wipeVolume } from './pods.ts';
import { RELEASE } from './values.ts';

/** A namespace where only restricted pods may be, and a volume where the cluster makes none. */
export async function openNamespace(cluster: Cluster, volume: string | undefined): Promise<void> {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  const metadata = { name: cluster.namespace, labels };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata });
  if (volume === undefined) return;
  const first = (await cluster.kubectl(['get', 'nodes', '--output', 'name'])).split('\n')[0] ?? '';
  const values = [first.replace('node/', '')];
  const expression = { key: 'kubernetes.io/hostname', operator: 'In', values };
  await cluster.apply({
    ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: cluster.namespace } },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path: volume },
      // For nobody else.
      claimRef: { namespace: cluster.namespace, name: `data-${RELEASE}-postgresql-0` },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } },
    },
  });
}

/** Leaves nothing of the release, as far as it came to be, nor of what it kept. */
export async function closeNamespace(cluster: Cluster, volume: string | undefined): Promise<void> {
  const image = await databaseImage(cluster).catch(() => undefined);
  await cluster.tryHelm(['uninstall', RELEASE, '--wait', '--timeout', '5m']);
  // A volume of ours outlives the namespace, and with it passwords that the next one has not.
  if (volume !== undefined && image !== undefined) {
    await wipeVolume(cluster, image).catch(() => undefined);
  }
  await cluster.tryKubectl(['delete', 'namespace', cluster.namespace, '--timeout=5m']);
  const what = ['persistentvolume', cluster.namespace];
  await cluster.tryKubectl(['delete', ...what, '--ignore-not-found', '--timeout=1m']);
}

/** What is where, for whoever has to find out why. */
export async function describe(cluster: Cluster): Promise<string> {
  const pods = await cluster.tryKubectl(['get', 'pods', '--output', 'wide']);
  const events = await cluster.tryKubectl(['get', 'events', '--sort-by=.lastTimestamp']);
  return `\n${pods.all}\n${events.all.split('\n').slice(-30).join('\n')}\n`;
}
