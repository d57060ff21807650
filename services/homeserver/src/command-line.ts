import { parseArgs } from 'node:util';
import type { Domain } from '@roost/core/ids';
import {
  type ListenAddress,
  homeDomain,
  oneOf,
  parseListenAddress,
  variable,
} from '@roost/service/config';
import { Misused, orMisused } from '@roost/service/run';

export const HELP = `Usage: npm start -- [options]

A whole Roost homeserver in one process, with a PostgreSQL of its own.

  --listen <host:port>       where to listen (default 127.0.0.1:7680; port 0: any free one)
  --tls-cert <file>          certificate chain, PEM; needed with --tls-key for any address that
  --tls-key <file>           private key, PEM       others can reach
  --insecure                 listen without TLS on such an address all the same
  --data <folder>            where all data is kept (default: $ROOST_HOME, else /var/lib/roost for
                             root, $XDG_STATE_HOME/roost or ~/.local/state/roost for others)
  --domain <name>            the home domain; it is kept at the first start and never changes
                             (default with --development: localhost)
  --registration open|invite who may register: anybody, or who has a code from
                             npm run -s roostctl -- invites create
                             (default with --development: open, otherwise: invite)
  --reset                    delete all data first; asks before it does
  --yes                      do not ask
  --development              defaults for trying things out, reflection on; npm start sets it
  --help                     this text

Environment: ROOST_HOME, ROOST_LOG_LEVEL (debug, info, warn, error, silent),
ROOST_GENERAL_TOKENS_PER_DAY (5000) and ROOST_CONTACT_TOKENS_PER_DAY (100): what an account may draw,
ROOST_PUSH_TO_PRIVATE_ADDRESSES (yes, no): whether clients may name push providers of this network,
ROOST_HEALTH_LISTEN (host:port): where /livez, /readyz and /metrics are; nowhere without it,
ROOST_FEDERATION_LISTEN (host:port): where other homeservers come in; without it there are none. Then besides
ROOST_FEDERATION_ENDPOINT (host:port): how they reach that, and ROOST_FEDERATION_CERT, ROOST_FEDERATION_KEY: the
certificate for the home domain (default: --tls-cert, --tls-key); more in services/federation-gateway/README.md,
OTEL_EXPORTER_OTLP_ENDPOINT: where traces go (libs/service/README.md says what they tell); nowhere without it.
`;

export interface Options {
  readonly listen: ListenAddress;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly data: string | undefined;
  readonly domain: Domain | undefined;
  readonly registration: 'open' | 'invite';
  readonly reset: boolean;
  readonly yes: boolean;
  readonly development: boolean;
}

/** What the command line asks for; `help` where it asks for that. Throws a sentence where it makes no sense. */
export function parseCommandLine(args: readonly string[]): Options | 'help' {
  const values = parseValues(args);
  if (values.help === true) return 'help';

  const development = values.development === true;
  const listen = given('listen', values.listen, LISTEN) ?? { host: '127.0.0.1', port: 7680 };
  const tls = tlsOf(values['tls-cert'], values['tls-key']);
  if (tls === undefined && values.insecure !== true && !isLoopback(listen.host)) {
    throw new Misused(
      `--listen ${listen.host} can be reached by others, and without TLS they could read and change ` +
        'everything: give --tls-cert and --tls-key, or, behind a proxy that has TLS, --insecure',
    );
  }
  return {
    listen,
    tls,
    data: given('data', values.data, FOLDER),
    domain: given('domain', values.domain, homeDomain),
    registration:
      given('registration', values.registration, oneOf('open', 'invite')) ??
      (development ? 'open' : 'invite'),
    reset: values.reset === true,
    yes: values.yes === true,
    development,
  };
}

const LISTEN = variable('host:port, such as 127.0.0.1:7680 or [::1]:7680', parseListenAddress);
const FOLDER = variable('a folder', (text) => (text.trim() === '' ? undefined : text));

function parseValues(args: readonly string[]) {
  return orMisused(() =>
    parseArgs({
      args: [...args],
      options: {
        listen: { type: 'string' },
        'tls-cert': { type: 'string' },
        'tls-key': { type: 'string' },
        insecure: { type: 'boolean' },
        data: { type: 'string' },
        domain: { type: 'string' },
        registration: { type: 'string' },
        reset: { type: 'boolean' },
        yes: { type: 'boolean' },
        development: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }),
  ).values;
}

function given<T>(
  option: string,
  value: string | undefined,
  schema: ReturnType<typeof variable<T>>,
): T | undefined {
  if (value === undefined) return undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Misused(
    `--${option} "${value}" makes no sense: give ${parsed.error.issues[0]?.message}`,
  );
}

function tlsOf(cert: string | undefined, key: string | undefined): Options['tls'] {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new Misused('--tls-cert and --tls-key belong together: give both');
  }
  return { cert, key };
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
