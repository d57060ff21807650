import { parseArgs } from 'node:util';
import { Misused } from '@roost/service/run';

export interface Options {
  readonly quick: boolean;
  /** Names of scenarios; all where none was named. */
  readonly only: readonly string[];
  readonly listeners: number;
}

const LISTENERS_DEFAULT = 2_000;
const LISTENERS_QUICK = 300;
const LISTENERS_MAX = 20_000;

export function helpOf(scenarios: readonly { readonly name: string; readonly about: string }[]) {
  const list = scenarios.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n');
  return `Usage: npm run -s bench -- [options]

Measures a whole homeserver in this process, over a PostgreSQL of its own in a temporary folder, each
figure beside its bare counterpart. The table is written to standard output, progress to standard error.

  --quick            fewer rounds: within a minute, for a look whether everything still runs
  --only <names>     some scenarios only, with commas between
  --listeners <n>    how many idle listeners (default ${LISTENERS_DEFAULT})
  --help             this text

Scenarios:
${list}
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
  const listeners = Number(values.listeners ?? (quick ? LISTENERS_QUICK : LISTENERS_DEFAULT));
  if (!Number.isInteger(listeners) || listeners < 1 || listeners > LISTENERS_MAX) {
    throw new Misused(`--listeners ${values.listeners}: give a number from 1 to ${LISTENERS_MAX}`);
  }
  return { quick, only, listeners };
}

function parseValues(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string' },
        listeners: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
    return values;
  } catch (error) {
    const [sentence = ''] = String(error instanceof Error ? error.message : error).split('. ');
    throw new Misused(`${sentence}: see --help`, { cause: error });
  }
}
