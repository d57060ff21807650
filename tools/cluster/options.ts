import { parseArgs } from 'node:util';

/** In this order. */
export const STEPS = [
  ...['apply', 'install', 'test', 'load', 'roll', 'kill', 'node', 'scale', 'upgrade', 'again'],
  ...['finish', 'restore', 'federate'],
] as const;

export const HELP = `Usage: npm run cluster -- [options]

Installs the chart on the cluster of KUBECONFIG, in a namespace of its own, and does to it what happens to clusters, while
users write to each other: rolls everything, kills pods, takes a node away, scales, upgrades and goes back, uninstalls and
installs again. Then everything that was written has to have come, once and in its order. After that its databases are
dumped, wiped and restored under two people who go on from where they are; and a second homeserver, in a namespace of its
own, is let in, heard, blocked and let in again.

  --image <name:tag>      the image of the services, that nodes have or can fetch (roost.local/roost:dev)
  --servers <prefix>      images of the servers, such as roost.local for roost.local/envoy:dev …; the usual ones where nothing is said
  --node-down <command>   takes the node away whose name follows; without it no node is taken
  --node-up <command>     and brings it back
  --volume <path,path>    two empty folders on the first node, which anybody may write to, for PostgreSQL of the first and of the
                          second homeserver, where the cluster has no default storage class
  --previous <commit>     whose chart is upgraded from (HEAD~1)
  --previous-image <…>    and its image; without it, the chart alone is the previous one
  --pairs <number>        how many pairs write to each other (6)
  --every <ms>            and how often each of them (500)
  --only <step,…>         only these: ${STEPS.join(' ')}
  --keep                  leaves the namespace as it is

This machine needs pg_dump and pg_restore, as new as the cluster's PostgreSQL (restore), openssl (federate) and git (upgrade).
The names of the cluster's Services have to end in cluster.local.
`;

export interface Options {
  readonly image: string;
  readonly servers: string | undefined;
  readonly nodeDown: string | undefined;
  readonly nodeUp: string | undefined;
  /** Of the first homeserver, and of the second. */
  readonly volumes: readonly string[];
  readonly previous: string;
  readonly previousImage: string | undefined;
  readonly pairs: number;
  readonly everyMs: number;
  readonly only: readonly string[] | undefined;
  readonly isKept: boolean;
}

const STRING = { type: 'string' } as const;

/** `undefined` where help is asked for. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ image: STRING, servers: STRING, 'node-down': STRING, 'node-up': STRING },
      ...{ volume: STRING, previous: STRING, 'previous-image': STRING, pairs: STRING },
      ...{ every: STRING, only: STRING },
      keep: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return undefined;
  const only = values.only?.split(',');
  const unknown = only?.filter((name) => !STEPS.some((step) => step === name)) ?? [];
  if (unknown.length > 0) {
    throw new Error(`--only: there is no step ${unknown.join(', ')}, only ${STEPS.join(', ')}`);
  }
  return {
    image: values.image ?? 'roost.local/roost:dev',
    servers: values.servers,
    nodeDown: values['node-down'],
    nodeUp: values['node-up'],
    volumes: values.volume?.split(',') ?? [],
    previous: values.previous ?? 'HEAD~1',
    previousImage: values['previous-image'],
    pairs: Number(values.pairs ?? 6),
    everyMs: Number(values.every ?? 500),
    only,
    isKept: values.keep === true,
  };
}
