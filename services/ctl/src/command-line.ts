import { parseArgs } from 'node:util';
import { isNativeError } from 'node:util/types';
import { Misused } from '@roost/service/run';

export const HELP = `Usage: npm run -s roostctl -- [--data <folder>] <command>

Orders for the homeserver that runs on a data folder (by default the same as npm start takes).

  invites create [--count <n>] [--days <n>]   make single-use codes for registration, one a line;
                                              1 code good for 30 days where nothing is said
  invites list                                how many codes are open, used and expired
  --help                                      this text
`;

export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'invites-create'; readonly count: number; readonly days: number }
  | { readonly kind: 'invites-list' };

export interface Order {
  readonly data: string | undefined;
  readonly command: Command;
}

/** What the operator wants; throws a sentence where it makes no sense. */
export function parseCommandLine(args: readonly string[]): Order {
  const { values, positionals } = parse(args);
  return { data: values.data, command: commandOf(values, positionals) };
}

function commandOf(values: ReturnType<typeof parse>['values'], words: string[]): Command {
  if (values.help === true) return { kind: 'help' };
  const verb = words.join(' ');
  if (verb === 'invites create') {
    const count = integer('count', values.count, { otherwise: 1, max: 1_000 });
    const days = integer('days', values.days, { otherwise: 30, max: 365 });
    return { kind: 'invites-create', count, days };
  }
  if (values.count !== undefined || values.days !== undefined) {
    throw new Misused('--count and --days belong to "invites create": see --help');
  }
  if (verb === 'invites list') return { kind: 'invites-list' };
  throw new Misused(`${verb === '' ? 'say what to do' : `there is no "${verb}"`}: see --help`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        data: { type: 'string' },
        count: { type: 'string' },
        days: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    const [sentence = ''] = (isNativeError(error) ? error.message : String(error)).split('. ');
    throw new Misused(`${sentence.replace(/\.$/, '')}: see --help`, { cause: error });
  }
}

function integer(
  option: string,
  text: string | undefined,
  { otherwise, max }: { otherwise: number; max: number },
): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value >= 1 && value <= max) return value;
  throw new Misused(`--${option} "${text}" makes no sense: give a whole number from 1 to ${max}`);
}
