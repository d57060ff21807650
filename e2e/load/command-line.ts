import { parseArgs } from 'node:util';
import { Misused, orMisused } from '@roost/service/run';

export interface Options {
  readonly quick: boolean;
  /** Names of scenarios; all where none was named. */
  readonly only: readonly string[];
  readonly listeners: number;
  /** How many processes of each service, one number for each homeserver; none where all is in one process. */
  readonly replicas: readonly number[];
}

const LISTENERS_DEFAULT = 2_000;
const LISTENERS_QUICK = 300;
const LISTENERS_DISTRIBUTED = 10_000;
const REPLICAS_MAX = 8;
const LISTENERS_MAX = 20_000;

interface Named {
  readonly name: string;
  readonly about: string;
}

export function helpOf(scenarios: readonly Named[], distributed: readonly Named[]) {
  const listOf = (all: readonly Named[]): string =>
    all.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n');
  return `Usage: npm run -s bench -- [options]

Measures a whole homeserver in this process, over a PostgreSQL of its own in a temporary folder, each
figure beside its bare counterpart. The table is written to standard output, progress to standard error.

  --quick            fewer rounds: within a minute, for a look whether everything still runs
  --distributed      separate processes on real servers behind Envoy first, then all in one
                     (not with --quick)
  --replicas <n,m>   with --distributed: a homeserver of n of each service, then one of m (default 1,2;
                     --quick: 2)
  --only <names>     some scenarios only, with commas between
  --listeners <n>    how many idle listeners (default ${LISTENERS_DEFAULT};
                     --distributed: ${LISTENERS_DISTRIBUTED}; --quick: ${LISTENERS_QUICK})
  --help             this text

Scenarios:
${listOf(scenarios)}

With --distributed:
${listOf(distributed)}
`;
}

/** What is asked for; `help` where it is that. Throws a sentence where it makes no sense. */
export function parseCommandLine(
  args: readonly string[],
  names: readonly string[],
): Options | 'help' {
  const values = parseValues(args);
  if (values.help === true) return 'help';
  const quick = values.quick === true;
  const only = (values.only ?? '').split(',').filter((name) => name !== '');
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined || (values.only !== undefined && only.length === 0)) {
    throw new Misused(`--only ${values.only}: give some of ${names.join(', ')}`);
  }
  const replicas = replicasOf(values, quick);
  const many = replicas.length > 0 ? LISTENERS_DISTRIBUTED : LISTENERS_DEFAULT;
  const listeners = Number(values.listeners ?? (quick ? LISTENERS_QUICK : many));
  if (!Number.isInteger(listeners) || listeners < 1 || listeners > LISTENERS_MAX) {
    throw new Misused(`--listeners ${values.listeners}: give a number from 1 to ${LISTENERS_MAX}`);
  }
  return { quick, only, listeners, replicas };
}

function replicasOf({ distributed, replicas }: Values, quick: boolean): number[] {
  if (distributed !== true) {
    if (replicas === undefined) return [];
    throw new Misused('--replicas goes with --distributed: give both');
  }
  const numbers = (replicas ?? (quick ? '2' : '1,2')).split(',').map(Number);
  if (numbers.every((each) => Number.isInteger(each) && each >= 1 && each <= REPLICAS_MAX)) {
    return numbers;
  }
  throw new Misused(
    `--replicas ${replicas}: give numbers from 1 to ${REPLICAS_MAX}, with commas between`,
  );
}

type Values = ReturnType<typeof parseValues>;

function parseValues(args: readonly string[]) {
  return orMisused(() =>
    parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        distributed: { type: 'boolean' },
        replicas: { type: 'string' },
        only: { type: 'string' },
        listeners: { type: 'string' },
        help: { type: 'boolean' },
      },
    }),
  ).values;
}
