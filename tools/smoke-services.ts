// The bundles of the services that run as processes of their own: each says what it lacks, in sentences, and finds
// what it brought along. That they serve is tested from their sources, on real servers.
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from './steps.ts';

const SERVICES = ['as', 'aas', 'qs', 'ds', 'federation-gateway'];
const SECRETS = ['as', 'aas', 'qs', 'push', 'transport', 'hub', 'federation'];
const MINUTE_MS = 60_000;

type Environment = Readonly<Record<string, string>>;

interface Said {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(program: string, args: readonly string[], env: Environment = {}): Promise<Said> {
  const main = join(root, 'dist', program, 'main.js');
  const child = spawn(process.execPath, [main, ...args], { env, timeout: MINUTE_MS });
  const said = { out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => (said.out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (said.err += data.toString()));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, ...said };
}

function expectLines(program: string, { status, out, err }: Said, patterns: readonly RegExp[]) {
  const lines = err.trim().split('\n');
  const isGood =
    status === 1 &&
    out === '' &&
    lines.length === patterns.length &&
    patterns.every((pattern) => lines.some((line) => pattern.test(line)));
  if (!isGood) throw new Error(`${program} check ended with ${status}:\n${out}${err}`);
}

const FEDERATION = {
  ROOST_FEDERATION_ENDPOINT: 'home.example:8448',
  ...{ ROOST_AAS_ADDRESS: '127.0.0.1:9', ROOST_QS_ADDRESS: '127.0.0.1:9' },
  ROOST_DS_ADDRESS: '127.0.0.1:9',
};

/** What each needs besides its database. */
const OTHERS: Readonly<Record<string, readonly string[]>> = {
  ...{ as: ['nats'], aas: ['redis', 'as'], qs: ['nats'], ds: ['nats'] },
  'federation-gateway': ['nats', 'as', 'aas', 'qs', 'ds'],
};

/** Nobody listens on port 9 of this machine. */
function environmentOf(service: string, folder: string): Environment {
  return {
    ROOST_DOMAIN: 'home.example',
    ROOST_TLS_CERT: join(folder, `${service}.crt`),
    ROOST_TLS_KEY: join(folder, `${service}.key`),
    ROOST_TLS_CA: join(folder, 'ca.crt'),
    ROOST_DATABASE_URL: 'postgres://nobody@127.0.0.1:9/nothing',
    ROOST_SECRETS: folder,
    ROOST_NATS_SERVERS: '127.0.0.1:9',
    ROOST_NATS_USER: service,
    ROOST_NATS_PASSWORD: 'password',
    ROOST_REDIS_URL: 'redis://127.0.0.1:9',
    ROOST_AS_ADDRESS: '127.0.0.1:9',
    ROOST_INCARNATION: '1',
    ...(service === 'federation-gateway' ? FEDERATION : {}),
  };
}

async function tryService(service: string, folder: string): Promise<void> {
  const bare = await run(service, ['check']);
  const unset = bare.err.trim().split('\n');
  expectLines(
    service,
    bare,
    unset.map(() => /^ROOST_\w+ is not set: give .+\.$/),
  );
  const others = OTHERS[service] ?? [];
  expectLines(service, await run(service, ['check'], environmentOf(service, folder)), [
    /^ROOST_DATABASE_URL: the database does not answer/,
    ...others.map((name) => new RegExp(`^${name} does not answer`)),
  ]);
}

/** Throws what is wrong with the bundles of the services; works in `folder`. */
export async function trySeparateServices(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const made = await run('ctl', ['certificates', '--domain', 'home.example', '--out', folder]);
  if (made.status !== 0) throw new Error(`ctl certificates: ${made.err}`);
  for (const purpose of SECRETS) {
    writeFileSync(join(folder, purpose), randomBytes(32).toString('hex'));
  }
  await Promise.all(SERVICES.map((service) => tryService(service, folder)));
  const help = await run('edge', ['--help']);
  if (help.status !== 0) throw new Error(`edge --help: ${help.err}`);
  process.stdout.write('as, aas, qs, ds, federation-gateway and edge are whole\n');
}
