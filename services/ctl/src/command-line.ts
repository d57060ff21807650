import { parseArgs } from 'node:util';
import type { Domain } from '@roost/core/ids';
import { homeDomain } from '@roost/service/config';
import { Misused, orMisused } from '@roost/service/run';

export const HELP = `Usage: npm run -s roostctl -- [where] <command>

Orders for a homeserver. Where it is:
  --data <folder>             one that runs all in one on this data folder (by default as npm start takes it)
  --address <host:port,…>     the authentication service, where services are processes of their own, with
  --certificates <folder>     operator.crt, operator.key and ca.crt, and
  --domain <name>             the home domain; or all three by ROOSTCTL_ADDRESS, _CERTIFICATES and _DOMAIN

  invites create [--count <n>] [--days <n>]   make single-use codes for registration, one a line;
                                              1 code good for 30 days where nothing is said
  invites list                                how many codes are open, used and expired
  certificates --domain <name> --out <folder> [--days <n>]
                                              make the certificates by which the processes of a homeserver
                                              know each other, for 90 days where nothing is said; where the
                                              folder has an authority already, new ones are signed by it
  provision --plan <file>                     in a pod of Kubernetes: make the Secrets of a plan (the chart's)
                                              that are not there, and renew certificates that are due
  nats-config [--prefix <name>] [--routes <host:port,…>] [--federation] [--out <file>]
                                              the configuration of a NATS server for a homeserver; passwords
                                              come from its environment (NATS_PASSWORD_AS, _DS, _QS, and with
                                              --federation _FEDERATION_GATEWAY)
  --help                                      this text
`;

export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'invites-create'; readonly count: number; readonly days: number }
  | { readonly kind: 'invites-list' }
  | {
      readonly kind: 'certificates';
      readonly domain: Domain;
      readonly folder: string;
      readonly days: number;
    }
  | { readonly kind: 'provision'; readonly plan: string }
  | {
      readonly kind: 'nats-config';
      readonly prefix: string;
      readonly routes: readonly string[];
      readonly isFederated: boolean;
      readonly file: string | undefined;
    };

/** Where the homeserver is: the data folder of one process, or a service of its own. */
export type Place =
  | { readonly data: string | undefined }
  | {
      readonly addresses: readonly string[];
      readonly certificates: string;
      readonly domain: Domain;
    };

export interface Order {
  readonly place: Place;
  readonly command: Command;
}

/** What the operator wants; throws a sentence where it makes no sense. */
export function parseCommandLine(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): Order {
  const { values, positionals } = parse(args);
  const command = commandOf(values, positionals);
  if (!command.kind.startsWith('invites')) return { place: { data: undefined }, command };
  const { data, address, certificates, domain } = values;
  const isNamed = [data, address, certificates, domain].some((each) => each !== undefined);
  return { place: placeOf(isNamed ? values : placeIn(environment)), command };
}

function placeIn(environment: Readonly<Record<string, string | undefined>>): Values {
  const values: Values = {};
  for (const name of ['address', 'certificates', 'domain'] as const) {
    const value = environment[`ROOSTCTL_${name.toUpperCase()}`];
    if (value) values[name] = value;
  }
  return values;
}

function placeOf({ data, address, certificates, domain }: Values): Place {
  if (address === undefined && certificates === undefined && domain === undefined) return { data };
  if (address === undefined || certificates === undefined || data !== undefined) {
    throw new Misused(
      '--address, --certificates and --domain belong together, and not to --data: see --help',
    );
  }
  return { addresses: address.split(','), certificates, domain: domainOf(domain) };
}

function domainOf(text: string | undefined): Domain {
  const parsed = homeDomain.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Misused(`--domain: give ${parsed.error.issues[0]?.message}`);
}

type Values = ReturnType<typeof parse>['values'];

function commandOf(values: Values, words: string[]): Command {
  if (values.help === true) return { kind: 'help' };
  const verb = words.join(' ');
  if (verb === 'certificates') {
    if (values.out === undefined) throw new Misused('say where to: --out <folder>');
    const days = integer('days', values.days, { otherwise: 90, max: 825 });
    return { kind: 'certificates', domain: domainOf(values.domain), folder: values.out, days };
  }
  const orders = chartOrderOf(verb, values);
  if (orders !== undefined) return orders;
  if (values.out !== undefined) throw new Misused('--out belongs to "certificates": see --help');
  if (verb === 'invites create') {
    const count = integer('count', values.count, { otherwise: 1, max: 1_000 });
    const days = integer('days', values.days, { otherwise: 30, max: 365 });
    return { kind: 'invites-create', count, days };
  }
  if (values.count !== undefined || values.days !== undefined) {
    throw new Misused(
      '--count and --days belong to "invites create" and "certificates": see --help',
    );
  }
  if (verb === 'invites list') return { kind: 'invites-list' };
  throw new Misused(`${verb === '' ? 'say what to do' : `there is no "${verb}"`}: see --help`);
}

/** What the chart has done. */
function chartOrderOf(
  verb: string,
  { plan, prefix = 'roost', routes, federation: isFederated = false, out }: Values,
): Command | undefined {
  if (verb === 'provision') {
    if (plan === undefined) throw new Misused('say which plan: --plan <file>');
    return { kind: 'provision', plan };
  }
  if (verb !== 'nats-config') return undefined;
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(prefix)) {
    throw new Misused('--prefix: give letters, digits, - and _');
  }
  const servers = routes?.split(',') ?? [];
  return { kind: 'nats-config', prefix, routes: servers, isFederated, file: out };
}

function parse(args: readonly string[]) {
  return orMisused(() =>
    parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        data: { type: 'string' },
        address: { type: 'string' },
        certificates: { type: 'string' },
        domain: { type: 'string' },
        out: { type: 'string' },
        count: { type: 'string' },
        days: { type: 'string' },
        plan: { type: 'string' },
        prefix: { type: 'string' },
        routes: { type: 'string' },
        federation: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }),
  );
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
