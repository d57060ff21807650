// `npm run cluster`: what happens to clusters, done to one of yours while users write to each other. See --help.
import { Cluster } from './cluster/kubectl.ts';
import { HELP, type Options, parseOptions } from './cluster/options.ts';
import { Steps } from './cluster/steps.ts';

const NAMES = [
  ...['apply', 'install', 'test', 'load', 'roll', 'kill', 'node', 'scale', 'upgrade', 'again'],
  'finish',
] as const;

const options = parseOptions(process.argv.slice(2));
if (options === undefined) process.stdout.write(HELP);
else process.exitCode = (await tryOut(options)) ? 0 : 1;

/** Stops at the first step that fails: what comes after it would say nothing. */
async function tryOut(given: Options): Promise<boolean> {
  const cluster = new Cluster('roost-trial');
  await prepare(cluster, given);
  const steps = new Steps(cluster, given);
  const began = performance.now();
  for (const name of NAMES) {
    if (given.only?.includes(name) === false) continue;
    const started = performance.now();
    const seconds = (): string => `${((performance.now() - started) / 1000).toFixed(0)} s`;
    try {
      const said = await steps[name]();
      process.stdout.write(`ok   ${name.padEnd(8)} ${seconds().padStart(6)}  ${said}\n`);
    } catch (error) {
      process.stdout.write(`FAIL ${name.padEnd(8)} ${seconds().padStart(6)}\n${String(error)}\n`);
      process.stdout.write(await describe(cluster));
      return false;
    }
  }
  process.stdout.write(`all of it in ${((performance.now() - began) / 60_000).toFixed(1)} min\n`);
  if (!given.isKept) await cluster.kubectl(['delete', 'namespace', cluster.namespace]);
  return true;
}

/** A namespace where only restricted pods may be, and a volume where the cluster makes none. */
async function prepare(cluster: Cluster, { volume }: Options): Promise<void> {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: cluster.namespace, labels },
  };
  await cluster.kubectl(['apply', '--filename', '-'], JSON.stringify(namespace));
  if (volume === undefined) return;
  const first = (await cluster.kubectl(['get', 'nodes', '--output', 'name'])).split('\n')[0] ?? '';
  const term = {
    matchExpressions: [
      { key: 'kubernetes.io/hostname', operator: 'In', values: [first.replace('node/', '')] },
    ],
  };
  const persistent = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'roost-trial' },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path: volume },
      nodeAffinity: { required: { nodeSelectorTerms: [term] } },
    },
  };
  await cluster.kubectl(['apply', '--filename', '-'], JSON.stringify(persistent));
}

async function describe(cluster: Cluster): Promise<string> {
  const pods = await cluster.tryKubectl(['get', 'pods', '--output', 'wide']);
  const events = await cluster.tryKubectl(['get', 'events', '--sort-by=.lastTimestamp']);
  return `\n${pods.all}\n${events.all.split('\n').slice(-30).join('\n')}\n`;
}
