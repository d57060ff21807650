import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { parseDomain, parseUserName } from '@roost/core/ids';

export const HELP = `Usage: npm run -s chat -- <name> [options]

Registers <name> at a homeserver, or goes on as <name>, and then reads lines: /help lists the commands,
anything else is sent to the current chat. Works in a terminal and with piped input.

  --server <address>   the homeserver: host:port, http://host:port or https://host[:port]
                       (default 127.0.0.1:7680; without TLS for this machine, with TLS for others)
  --tls-ca <file>      PEM of the authority that signed its certificate, where no public one did
  --data <folder>      where keys, chats and unsent lines are kept (default:
                       $XDG_STATE_HOME/roost/chat/<name>, else ~/.local/state/roost/chat/<name>)
  --invite <code>      the invite code, where the homeserver asks for one
  --wait <seconds>     how long to wait for what is unsent at the end of input (default 60)
  --stay               go on listening at the end of input
  --help               this text
`;

export interface Options {
  readonly name: string;
  readonly server: { readonly address: string; readonly isTls: boolean };
  readonly tlsCa: string | undefined;
  readonly data: string;
  readonly inviteCode: string | undefined;
  readonly waitMs: number;
  readonly stays: boolean;
}

/** The command line makes no sense: exit code 2, as it is custom. */
export class Misused extends CannotStart {}

type Environment = Readonly<Record<string, string | undefined>>;

export function parseOptions(args: readonly string[], environment: Environment): Options | 'help' {
  const { values, positionals } = parsed(args);
  if (values.help === true) return 'help';
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) {
    throw new Misused('give one name to chat as, such as: npm run -s chat -- alice');
  }
  const folded = foldedName(name);
  return {
    name: folded,
    server: parseServer(values.server ?? DEFAULT_SERVER),
    tlsCa: values['tls-ca'],
    data: values.data ?? join(stateFolder(environment), 'roost', 'chat', folded),
    inviteCode: values.invite,
    waitMs: parseWait(values.wait ?? '60'),
    stays: values.stay === true,
  };
}

/** Reads how a homeserver is reached. Without a scheme, this machine is spoken to without TLS. */
export function parseServer(text: string): Options['server'] {
  const [, scheme, rest = ''] = /^(?:(https?):\/\/)?(.*?)\/?$/.exec(text) ?? [];
  const [, host, port] = /^(\[[0-9a-f:]+\]|[^:/\s]+)(?::([0-9]{1,5}))?$/i.exec(rest) ?? [];
  if (
    host === undefined ||
    Number(port ?? 1) > 65_535 ||
    (port === undefined && scheme === undefined)
  ) {
    throw new Misused(`--server ${text} is not host:port, http://host:port or https://host[:port]`);
  }
  const isTls = scheme === undefined ? !isLoopback(host) : scheme === 'https';
  return { address: `${host}:${port ?? (isTls ? '443' : '80')}`, isTls };
}

const DEFAULT_SERVER = '127.0.0.1:7680';

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/i.test(host);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        server: { type: 'string' },
        'tls-ca': { type: 'string' },
        data: { type: 'string' },
        invite: { type: 'string' },
        wait: { type: 'string' },
        stay: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new Misused(
      `${error instanceof Error ? error.message : String(error)}; --help lists the options`,
    );
  }
}

/** The name as it is registered, and as its folder is called. */
function foldedName(name: string): string {
  try {
    const home = parseDomain('localhost');
    const { name: local, domain } = parseUserName(name, home);
    return domain === home ? local : `${local}@${domain}`;
  } catch (error) {
    if (error instanceof Failure) throw new Misused(`${name}: a user name ${rule(error)}`);
    throw error;
  }
}

function rule({ message }: Failure): string {
  return message.replace(/^[a-z_]+: /, '');
}

function parseWait(text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new Misused(`--wait ${text} is not a number of seconds`);
  return Number(text) * 1000;
}

function stateFolder({
  XDG_STATE_HOME: given,
}: {
  readonly XDG_STATE_HOME?: string | undefined;
}): string {
  return given === undefined || given === '' ? join(homedir(), '.local', 'state') : given;
}
