import { parseArgs } from 'node:util';
import { Misused, orMisused } from '@roost/service/run';
import type { Fault } from './fault.ts';

export interface Options {
  readonly faults: readonly Fault[];
  readonly seed: number;
  /** Where the histories and logs of broken promises are kept. */
  readonly keep?: string | undefined;
  /** How many listen in the crowd. */
  readonly streams: number;
}

const STREAMS_DEFAULT = 300;
const STREAMS_MAX = 5_000;

type Named = Pick<Fault, 'name' | 'about' | 'isQuick'>;

export function helpOf(faults: readonly Named[]): string {
  return `Usage: npm run -s faults -- [options]

Starts a homeserver of two replicas each on PostgreSQL, NATS, Valkey and Envoy, lets six people talk, breaks
one thing after the other, and holds what they wrote down against what was promised. The table is written to
standard output, progress to standard error. Ends with 1 where a promise was broken.

  --quick            a short selection, marked with * below
  --only <names>     some faults only, with commas between; a word stands for all that begin with it
  --list             the faults, one a line
  --keep <folder>    where a promise was broken: keeps what all wrote down, and the logs of the processes
  --streams <n>      how many listen when the edge is killed (default ${STREAMS_DEFAULT}; each is paid for, which takes time)
  --seed <n>         the number that chance begins with; printed with every run
  --help             this text

Faults:
${listOf(faults)}
`;
}

export function listOf(faults: readonly Named[]): string {
  const width = Math.max(...faults.map(({ name }) => name.length));
  return faults
    .map(({ name, about, isQuick }) =>
      `${isQuick === true ? '*' : ' '} ${name.padEnd(width)}  ${about}`.trimEnd(),
    )
    .join('\n');
}

/** What is asked for; throws a sentence where it makes no sense. */
export function parseCommandLine(
  args: readonly string[],
  faults: readonly Fault[],
): Options | 'help' | 'list' {
  const values = parseValues(args);
  if (values.help === true) return 'help';
  if (values.list === true) return 'list';
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
  if (!Number.isInteger(seed) || seed < 0) {
    throw new Misused(`--seed ${values.seed}: give a whole number`);
  }
  const quick = faults.filter(({ isQuick }) => values.quick !== true || isQuick === true);
  const streams = Number(values.streams ?? STREAMS_DEFAULT);
  if (!Number.isInteger(streams) || streams < 1 || streams > STREAMS_MAX) {
    throw new Misused(`--streams ${values.streams}: give a number from 1 to ${STREAMS_MAX}`);
  }
  const rest = { seed, streams, keep: values.keep };
  if (values.only === undefined) return { faults: quick, ...rest };
  const words = values.only.split(',').map((word) => word.trim());
  const wrong = words.find(
    (word) => word === '' || !faults.some(({ name }) => name.startsWith(word)),
  );
  if (wrong !== undefined) throw new Misused(`--only ${values.only}: see --list`);
  const chosen = faults.filter(({ name }) => words.some((word) => name.startsWith(word)));
  return { faults: chosen, ...rest };
}

function parseValues(args: readonly string[]) {
  return orMisused(() =>
    parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string' },
        list: { type: 'boolean' },
        keep: { type: 'string' },
        seed: { type: 'string' },
        streams: { type: 'string' },
        help: { type: 'boolean' },
      },
    }),
  ).values;
}
