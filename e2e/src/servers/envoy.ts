import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { SECOND_MS } from '@roost/core/time';
import type { Door } from '../door.ts';
import type { Neighbourhood } from '../neighbourhood.ts';
import { SERVICES, type Service } from './environment.ts';
import { fetchServer } from './fetch.ts';
import type { GatewayAddresses } from './gateway.ts';
import { Launched } from './launch.ts';
import { type Environment, runProgram } from './processes.ts';
import { Run } from './run.ts';

export interface EnvoyOptions {
  readonly domain: string;
  /** What `roostctl certificates` made. */
  readonly certificates: string;
  readonly services: Readonly<Record<Service, readonly string[]>>;
  /** Where it lets other homeservers in, and to whom. */
  readonly met?:
    | { readonly neighbourhood: Neighbourhood; readonly addresses: GatewayAddresses }
    | undefined;
  /** Of the program that writes its configuration, besides what is said here. */
  readonly env?: Environment;
  readonly name?: string;
}

const EDGE = 'services/edge/src/main.ts';
/** The door's certificate outlasts every run. */
const DAYS = '30';

/** A real Envoy, with the configuration that the edge's program writes. */
export class Envoy implements AsyncDisposable {
  /** Of the door: `host:port`. */
  readonly address: string;
  readonly healthAddress: string;
  readonly adminAddress: string;
  /** The door's certificate, PEM; it is signed by itself. */
  readonly ca: string;
  /** The path of the same. */
  readonly certificate: string;
  readonly folder: string;
  readonly #program: string;
  readonly #name: string;
  #env: Environment;
  #process: Launched | undefined;

  private constructor(parts: Parts) {
    this.#program = parts.program;
    this.#name = parts.name;
    this.#env = parts.env;
    this.folder = parts.folder;
    this.address = parts.env.ROOST_LISTEN;
    this.healthAddress = parts.env.ROOST_HEALTH_LISTEN;
    this.adminAddress = parts.env.ROOST_ADMIN_LISTEN;
    this.certificate = parts.env.ROOST_DOOR_CERT;
    this.ca = readFileSync(this.certificate, 'utf8');
  }

  /** Not started yet: it does so faster where the services are there already. */
  static async prepare(options: EnvoyOptions): Promise<Envoy> {
    const { domain, certificates, services, name = 'envoy' } = options;
    const run = Run.current();
    const folder = run.makeFolder(name);
    const { path: program } = await fetchServer('envoy');
    const take = async () => `127.0.0.1:${await run.takePort()}`;
    const env = {
      ROOST_DOMAIN: domain,
      ROOST_LISTEN: await take(),
      ROOST_HEALTH_LISTEN: await take(),
      ROOST_ADMIN_LISTEN: await take(),
      ...makeDoorCertificate(folder),
      ROOST_TLS_CA: join(certificates, 'ca.crt'),
      ROOST_TLS_CERT: join(certificates, 'edge.crt'),
      ROOST_TLS_KEY: join(certificates, 'edge.key'),
      ROOST_GATE_CERT: join(certificates, 'gate.crt'),
      ROOST_GATE_KEY: join(certificates, 'gate.key'),
      ...addressesOf(services),
      ...meetingOf(options),
      ...options.env,
    };
    return new Envoy({ name, program, folder, env });
  }

  static async open(options: EnvoyOptions): Promise<Envoy> {
    const envoy = await Envoy.prepare(options);
    await envoy.start();
    return envoy;
  }

  get door(): Door {
    return { address: this.address, ca: this.ca };
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#process?.pid : undefined;
  }

  get isRunning(): boolean {
    return this.#process?.isRunning === true;
  }

  /** Its own log, and a line of JSON for each call. */
  said(): string {
    return this.#process?.said() ?? '';
  }

  /** Where it keeps what it says. */
  get log(): string {
    return join(this.folder, `${this.#name}.log`);
  }

  /** With today's configuration, on its ports of before; a running one stays. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    const config = join(this.folder, 'envoy.json');
    writeFileSync(config, await printConfiguration(this.#env));
    this.#process = await Launched.start({
      name: this.#name,
      command: this.#program,
      args: [
        ...['--config-path', config, '--log-level', 'warning', '--concurrency', '1'],
        // Several run beside each other, and none is restarted without being stopped.
        ...['--disable-hot-restart', '--drain-time-s', '2', '--drain-strategy', 'immediate'],
        ...['--file-flush-interval-msec', '100'],
      ],
      logs: this.folder,
    });
    await this.#process.until('ready', async () => (await this.isReady()) || undefined);
  }

  /** What load balancers see. */
  async isReady(): Promise<boolean> {
    const answer = await fetch(`http://${this.healthAddress}/readyz`).catch(() => undefined);
    await answer?.body?.cancel();
    return answer?.status === 200;
  }

  /** Whether every replica of every service has told it that it serves. */
  async seesAll(): Promise<boolean> {
    const stats = await this.stats(/^cluster\.\w+\.membership_(healthy|total)$/);
    return [...SERVICES, 'gate'].every((name) => {
      const at = (what: string): number | undefined => stats[`cluster.${name}.membership_${what}`];
      return at('total') !== undefined && at('healthy') === at('total');
    });
  }

  /** Lets go of its calls as an operator has it done, and ends. */
  async drain(env: Environment = {}): Promise<void> {
    const { status, output } = await runProgram(EDGE, ['drain'], { ...this.#env, ...env });
    assert(status === 0, `the drain ended well: ${output}`);
    await this.stop();
  }

  async stop(): Promise<void> {
    await this.#process?.stop('SIGTERM', 20 * SECOND_MS);
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** At once, as after a crash. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** For its next start: other addresses or another environment. */
  reconfigure({ services, env = {} }: Partial<Pick<EnvoyOptions, 'services' | 'env'>>): void {
    this.#env = { ...this.#env, ...(services === undefined ? {} : addressesOf(services)), ...env };
  }

  /** Envoy's own counters and gauges whose name matches. */
  async stats(filter: RegExp): Promise<Record<string, number>> {
    const url = `http://${this.adminAddress}/stats?filter=${encodeURIComponent(filter.source)}`;
    const text = await (await fetch(url)).text();
    const pairs = text.matchAll(/^(\S+): (\d+)$/gm);
    return Object.fromEntries([...pairs].map(([, name = '', value]) => [name, Number(value)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

interface Parts {
  readonly name: string;
  readonly program: string;
  readonly folder: string;
  readonly env: Environment &
    Readonly<
      Record<
        'ROOST_LISTEN' | 'ROOST_HEALTH_LISTEN' | 'ROOST_ADMIN_LISTEN' | 'ROOST_DOOR_CERT',
        string
      >
    >;
}

async function printConfiguration(env: Environment): Promise<string> {
  const { status, output } = await runProgram(EDGE, ['print'], env);
  assert(status === 0, `the edge's program writes a configuration: ${output}`);
  return output;
}

function addressesOf({ as, aas, qs, ds }: EnvoyOptions['services']) {
  return {
    ROOST_AS_ADDRESS: as.join(','),
    ROOST_AAS_ADDRESS: aas.join(','),
    ROOST_QS_ADDRESS: qs.join(','),
    ROOST_DS_ADDRESS: ds.join(','),
  };
}

/** Its listener for other homeservers, and the way to the gateway. */
function meetingOf({ met, domain, certificates }: EnvoyOptions) {
  if (met === undefined) return {};
  const { address, cert, key } = met.neighbourhood.of(domain);
  return {
    ROOST_FEDERATION_LISTEN: `${address}:${met.neighbourhood.port}`,
    ...{ ROOST_FEDERATION_CERT: cert, ROOST_FEDERATION_KEY: key },
    ROOST_PEER_CERT: join(certificates, 'peer.crt'),
    ROOST_PEER_KEY: join(certificates, 'peer.key'),
    ROOST_GATEWAY_ADDRESS: met.addresses.mutual.join(','),
    ROOST_DIRECTORY_ADDRESS: met.addresses.directory.join(','),
  };
}

/** What clients see: of a stranger to the internal authority, as in the world. */
function makeDoorCertificate(folder: string) {
  const [cert, key] = [join(folder, 'door.crt'), join(folder, 'door.key')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const subject = ['-subj', '/CN=localhost', '-addext', names, '-days', DAYS];
  execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  return { ROOST_DOOR_CERT: cert, ROOST_DOOR_KEY: key };
}
