import { assert } from '@roost/core/assert';
import { sleep } from '@roost/core/time';
import type { Door } from '@roost/e2e/door';
import { Envoy } from '@roost/e2e/servers/envoy';
import { SERVICES, type Service } from '@roost/e2e/servers/environment';
import { Ground } from '@roost/e2e/servers/ground';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import type { Environment, ServiceProcess } from '@roost/e2e/servers/processes';
import { randomOf } from '@roost/e2e/random';
import { Tokens } from '@roost/e2e/tokens';
import { Witness } from '@roost/e2e/witness';
import { Cable, type Condition } from './cable.ts';
import type { Log } from './log.ts';

/** The lines that can be damaged. */
export type Line =
  | 'ds-nats'
  | 'qs-nats'
  | 'as-postgres'
  | 'aas-postgres'
  | 'qs-postgres'
  | 'ds-postgres'
  | 'edge-aas';

export interface SiteOptions {
  readonly seed: number;
  readonly streams: number;
  readonly progress: (text: string) => void;
}

interface Parts extends Pick<SiteOptions, 'streams' | 'progress'> {
  readonly ground: Ground;
  readonly home: Homeserver;
  readonly lines: ReadonlyMap<Line, readonly Cable[]>;
  readonly all: AsyncDisposableStack;
  readonly log: Log;
  readonly random: () => number;
}

/** A homeserver of two replicas each on real servers, with lines between them that can be damaged. */
export class Site implements AsyncDisposable {
  readonly ground: Ground;
  readonly home: Homeserver;
  readonly log: Log;
  readonly random: () => number;
  /** How many make a crowd. */
  readonly streams: number;
  readonly progress: (text: string) => void;
  /** Promises of the fault at hand that were not kept. */
  readonly broken: string[] = [];
  /** What the fault at hand measured. */
  readonly remarks: string[] = [];
  readonly #lines: ReadonlyMap<Line, readonly Cable[]>;
  readonly #all: AsyncDisposableStack;
  #numbers = 0;
  #tokens: Tokens | undefined;
  #second: Envoy | undefined;

  private constructor({ ground, home, lines, all, log, random, streams, progress }: Parts) {
    this.ground = ground;
    this.home = home;
    this.log = log;
    this.random = random;
    this.streams = streams;
    this.progress = progress;
    this.#lines = lines;
    this.#all = all;
  }

  static async open(log: Log, { seed, streams, progress }: SiteOptions): Promise<Site> {
    await using all = new AsyncDisposableStack();
    const ground = all.use(await Ground.open());
    ground.share();
    const lines = new Map<Line, readonly Cable[]>();
    const plug = async (line: Line, ...targets: string[]): Promise<string[]> => {
      const cables = await Promise.all(targets.map((target) => Cable.open(target)));
      for (const cable of cables) all.use(cable);
      lines.set(line, cables);
      return cables.map(({ address }) => address);
    };
    const postgres = `127.0.0.1:${ground.postgres.port}`;
    for (const service of ['ds', 'qs'] as const) {
      await plug(`${service}-nats`, ...ground.nats.servers);
    }
    for (const service of SERVICES) await plug(`${service}-postgres`, postgres);
    const home = all.use(
      await Homeserver.open({
        ground: ground.addresses,
        rewire: (service, env) => rewire(lines, service, env),
        mains: { ds: 'e2e/faults/mortal-ds.fixture.ts' },
      }),
    );
    const services = addressesOf(home);
    const aas = await plug('edge-aas', ...services.aas);
    home.edge.reconfigure({ services: { ...services, aas } });
    await home.edge.restart();
    const parts = { ground, home, lines, log, progress, streams, random: randomOf(seed) };
    return new Site({ ...parts, all: all.move() });
  }

  get door(): Door {
    return this.home.door;
  }

  process(name: string): ServiceProcess {
    return this.home.process(name);
  }

  /** Damages a line, or makes it whole again. */
  set(line: Line, condition: Condition): void {
    for (const cable of this.cables(line)) cable.set(condition);
  }

  cables(line: Line): readonly Cable[] {
    const cables = this.#lines.get(line);
    assert(cables !== undefined, `there is a line ${line}`);
    return cables;
  }

  /** Says what must be besides what every history is held to. */
  promise(isKept: boolean, sentence: string): void {
    if (!isKept) this.broken.push(sentence);
  }

  remark(text: string): void {
    this.remarks.push(text);
  }

  /** Lets it be for a while; a little longer or shorter each time. */
  async hold(ms: number): Promise<void> {
    await sleep(ms * (0.8 + 0.4 * this.random()));
  }

  /** Another one each time: for names that nobody has. */
  number(): number {
    return ++this.#numbers;
  }

  /** Of somebody who came for nothing else. */
  async tokens(): Promise<Tokens> {
    if (this.#tokens !== undefined) return this.#tokens;
    await using mia = await Witness.come(this.door, 'mia');
    this.#tokens = await Tokens.of(mia, this.door);
    return this.#tokens;
  }

  /** Another edge of the same homeserver. */
  async secondDoor(): Promise<Door> {
    const { domain, certificates } = this.home;
    const options = { domain, certificates, services: addressesOf(this.home), name: 'envoy-2' };
    const env = {
      ROOST_ADDRESS_CALLS: '100000',
      ROOST_ADDRESS_CALLS_PER_SECOND: '100000',
    };
    this.#second ??= this.#all.use(await Envoy.open({ ...options, env }));
    return this.#second.door;
  }

  /** Everything stands again, whatever a fault left. */
  async repair(): Promise<void> {
    for (const line of this.#lines.keys()) this.set(line, 'whole');
    for (const process of this.home.processes.values()) process.thaw();
    this.ground.valkey.thaw();
    this.ground.nats.thaw();
    await Promise.all([
      this.ground.postgres.start(),
      this.ground.nats.start(),
      this.ground.valkey.start(),
    ]);
    await this.home.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all.disposeAsync();
  }
}

function addressesOf(home: Homeserver): Record<Service, string[]> {
  const of = (service: Service): string[] => home.of(service).map(({ address }) => address);
  return { as: of('as'), aas: of('aas'), qs: of('qs'), ds: of('ds') };
}

/** Sends a service over our lines. */
function rewire(
  lines: ReadonlyMap<Line, readonly Cable[]>,
  service: Service,
  env: Environment,
): Environment {
  const [postgres] = lines.get(`${service}-postgres`) ?? [];
  const url = new URL(env['ROOST_DATABASE_URL'] ?? '');
  if (postgres !== undefined) url.host = postgres.address;
  const nats = service === 'ds' || service === 'qs' ? lines.get(`${service}-nats`) : undefined;
  return {
    ...env,
    ROOST_DATABASE_URL: url.href,
    ...(nats === undefined
      ? {}
      : { ROOST_NATS_SERVERS: nats.map(({ address }) => address).join(',') }),
  };
}
