import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CHART } from '../chart/render.ts';
import { root } from '../steps.ts';
import { Cluster, program } from './kubectl.ts';
import { closeNamespace, describe, openNamespace } from './namespace.ts';
import type { Options } from './options.ts';
import { Release } from './release.ts';
import { domainIn, federatedOf, NAMESPACE, PEER_SECRETS, RELEASE, valuesOf } from './values.ts';

const SECOND = `${NAMESPACE}-two`;
const OTHERS: Readonly<Record<string, string>> = { [NAMESPACE]: SECOND, [SECOND]: NAMESPACE };
/** What the blocked one is told by its own `probe`. */
const REFUSED = 'does not exchange messages with';

/**
 * Federation is turned on at the homeserver that runs, and a second one is installed, with servers of its own. Each lets
 * the other in and finds it, people of the two meet; one blocks the other, which is told so, and lets it in again.
 * Afterwards the first is as it was, and nothing is left of the second.
 */
export async function federate(first: Release, options: Options): Promise<string> {
  const second = new Release(new Cluster(SECOND));
  const tidy = async (): Promise<void> => {
    await closeNamespace(second.cluster, options.volumes[1]);
    await putBack(first, options);
  };
  try {
    const said = await meet(first, second, options);
    await tidy();
    return said;
  } catch (error) {
    const why = `${String(error)}\n${await describe(second.cluster)}`;
    // What went wrong first is what counts.
    await tidy().catch(() => undefined);
    throw new Error(why, { cause: error });
  }
}

async function meet(first: Release, second: Release, options: Options): Promise<string> {
  const both = [first, second];
  const folder = mkdtempSync(join(tmpdir(), 'roost-peers-'));
  try {
    await openNamespace(second.cluster, options.volumes[1]);
    await makeCertificates(folder);
    for (const release of both) {
      await giveSecrets(release.cluster, folder);
      const { namespace } = release.cluster;
      await release.upgrade(CHART, federatedOf(options, namespace, otherOf(release)));
      await release.startOperator();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  for (const release of both) await release.roostctl('federation', 'allow', peerOf(release));
  const answers = [await probed(first), await probed(second)];
  const tested = await first.cluster.helm(['test', RELEASE, '--timeout', '10m']);
  const pods = (tested.match(/Phase:\s+Succeeded/g) ?? []).length;
  if (!/story-peer\s+(.*\n){1,4}?Phase:\s+Succeeded/.test(tested)) throw new Error(tested);
  const sentence = await blocked(first, second);
  return `each finds the other (${answers.join(', ')}); ${pods} test pods succeeded, with people of the two who meet; blocked: "${sentence}"; let in again`;
}

function otherOf({ cluster }: Release): string {
  return OTHERS[cluster.namespace] ?? '';
}

function peerOf(release: Release): string {
  return domainIn(otherOf(release));
}

/** An authority of their own, and of each homeserver the certificate for its domain. */
async function makeCertificates(folder: string): Promise<void> {
  const names = [NAMESPACE, SECOND].map((namespace) => `${namespace}=${domainIn(namespace)}`);
  await program('sh', [join(root, 'tools/peers.sh'), folder, ...names], {});
}

async function giveSecrets(cluster: Cluster, folder: string): Promise<void> {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const secrets = [
    {
      ...{ name: PEER_SECRETS.door, type: 'kubernetes.io/tls' },
      stringData: {
        'tls.crt': read(`${cluster.namespace}.crt`),
        'tls.key': read(`${cluster.namespace}.key`),
      },
    },
    { name: PEER_SECRETS.peers, type: 'Opaque', stringData: { 'ca.crt': read('ca.crt') } },
  ];
  for (const { name, ...rest } of secrets) {
    await cluster.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, ...rest });
  }
}

/** How long the other one took to answer; throws the steps where one of them fails. */
async function probed(release: Release): Promise<string> {
  const steps = await release.roostctl('federation', 'probe', peerOf(release));
  const [, answer] = /answered a signed call after (\d+ ms)/.exec(steps) ?? [];
  if (answer === undefined) throw new Error(steps);
  return answer;
}

/** The sentence that the first reads where the second has blocked it. */
async function blocked(first: Release, second: Release): Promise<string> {
  await second.roostctl('federation', 'block', peerOf(second));
  const steps = await first.failingRoostctl('federation', 'probe', peerOf(first));
  const [sentence] = /\S+ does not exchange messages with .*/.exec(steps) ?? [];
  if (sentence?.includes(REFUSED) !== true) throw new Error(steps);
  await second.roostctl('federation', 'allow', peerOf(second));
  await probed(first);
  return sentence.trim();
}

async function putBack(first: Release, options: Options): Promise<void> {
  await first.upgrade(CHART, valuesOf(options));
  await first.cluster.tryKubectl([
    ...['delete', 'secret', ...Object.values(PEER_SECRETS), '--ignore-not-found'],
  ]);
}
