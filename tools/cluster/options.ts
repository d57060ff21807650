import { parseArgs } from 'node:util';

export const HELP = `Usage: npm run cluster -- [options]

Installs the chart on the cluster of KUBECONFIG, in a namespace of its own, and does to it what happens to clusters, while
users write to each other: rolls everything, kills pods, takes a node away, scales, upgrades and goes back, uninstalls and
installs again. Then everything that was written has to have come, once and in its order.

  --image <name:tag>      the image of the services, that nodes have or can fetch (roost.local/roost:dev)
  --servers <prefix>      images of the servers, such as roost.local for roost.local/envoy:dev …; the usual ones where nothing is said
  --node-down <command>   takes the node away whose name follows; without it no node is taken
  --node-up <command>     and brings it back
  --volume <path>         a folder on the first node for PostgreSQL, where the cluster has no default storage class
  --previous <commit>     whose chart is upgraded from (HEAD~1)
  --pairs <number>        how many pairs write to each other (6)
  --every <ms>            and how often each of them (500)
  --only <step,…>         only these: apply install test load roll kill node scale upgrade again finish
  --keep                  leaves the namespace as it is
`;

export interface Options {
  readonly image: string;
  readonly servers: string | undefined;
  readonly nodeDown: string | undefined;
  readonly nodeUp: string | undefined;
  readonly volume: string | undefined;
  readonly previous: string;
  readonly pairs: number;
  readonly everyMs: number;
  readonly only: readonly string[] | undefined;
  readonly isKept: boolean;
}

/** `undefined` where help is asked for. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      image: { type: 'string' },
      servers: { type: 'string' },
      'node-down': { type: 'string' },
      'node-up': { type: 'string' },
      volume: { type: 'string' },
      previous: { type: 'string' },
      pairs: { type: 'string' },
      every: { type: 'string' },
      only: { type: 'string' },
      keep: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return undefined;
  return {
    image: values.image ?? 'roost.local/roost:dev',
    servers: values.servers,
    nodeDown: values['node-down'],
    nodeUp: values['node-up'],
    volume: values.volume,
    previous: values.previous ?? 'HEAD~1',
    pairs: Number(values.pairs ?? 6),
    everyMs: Number(values.every ?? 500),
    only: values.only?.split(','),
    isKept: values.keep === true,
  };
}
