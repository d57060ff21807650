import { SERVICES, type Service } from '@roost/e2e/servers/environment';
import { sleep } from '@roost/core/time';
import type { Fault } from '../fault.ts';
import type { Site } from '../site.ts';
import { spend } from './spend.ts';

const NAMES: Readonly<Record<Service, string>> = {
  as: 'accounts',
  aas: 'tokens',
  qs: 'queues',
  ds: 'groups',
};
/** The heart of the house: in the short selection, too. */
const QUICK: ReadonlySet<string> = new Set(['qs', 'ds']);

function killOne(service: Service): Fault {
  return {
    name: `kill ${service}-1`,
    about: `kill -9 of one of two (${NAMES[service]}), then of the other`,
    isQuick: QUICK.has(service),
    async strike(site) {
      for (const process of site.home.of(service)) {
        await process.kill();
        await site.hold(1_200);
        await process.start();
        await site.hold(1_200);
      }
    },
  };
}

function killBoth(service: Service): Fault {
  return {
    name: `kill both ${service}`,
    about: `kill -9 of both (${NAMES[service]}) at once`,
    async strike(site) {
      const both = site.home.of(service);
      await Promise.all(both.map((each) => each.kill()));
      await site.hold(2_500);
      await Promise.all(both.map((each) => each.start()));
    },
  };
}

const everything: Fault = {
  name: 'kill everything',
  about: 'kill -9 of all services, Envoy, NATS, Valkey and PostgreSQL at once',
  isQuick: true,
  async strike({ home, ground }) {
    await Promise.all([
      ...[...home.processes.values()].map((each) => each.kill()),
      home.edge.kill(),
      ground.nats.kill(),
      ground.valkey.kill(),
      ground.postgres.kill(),
    ]);
    await sleep(1_500);
  },
};

const rolling: Fault = {
  name: 'rolling restart',
  about: 'SIGTERM to each replica in turn, each back before the next goes',
  async strike(site) {
    let slowestMs = 0;
    for (const process of site.home.processes.values()) {
      const began = performance.now();
      const code = await process.stop();
      slowestMs = Math.max(slowestMs, performance.now() - began);
      site.promise(code === 0, `${process.name} ends with 0 after SIGTERM, not with ${code}`);
      await process.start();
      await sleep(1_500);
    }
    site.remark(`slowest end ${(slowestMs / 1_000).toFixed(1)} s`);
    await mustBeSmooth(site);
  },
};

/** Nobody is to feel an operator's work: no words wait for longer than a client's own second try. */
async function mustBeSmooth(site: Site): Promise<void> {
  const refused = site.log.entries.filter(
    (entry) => entry.kind === 'refused' && entry.level === 'text',
  );
  site.promise(refused.length === 0, `${refused.length} texts were refused`);
}

function freezeOne(service: 'qs' | 'ds'): Fault {
  return {
    name: `freeze ${service}-1`,
    about: `SIGSTOP of one of two (${NAMES[service]}) for some seconds; it goes on as if nothing had been`,
    isQuick: service === 'qs',
    async strike(site) {
      const process = site.process(`${service}-1`);
      process.freeze();
      await site.hold(8_000);
      process.thaw();
    },
  };
}

const freezeAas: Fault = {
  name: 'freeze both aas',
  about: 'SIGSTOP of all that checks tokens: refused, and no token is burnt by a timeout',
  async strike(site) {
    const tokens = await site.tokens();
    await tokens.draw('general', COUNT);
    const mine = await Promise.all(Array.from({ length: COUNT }, () => tokens.take('general')));
    const both = site.home.of('aas');
    for (const process of both) process.freeze();
    const began = performance.now();
    const answers = await Promise.all(mine.map((token) => spend(site.door, token)));
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    for (const process of both) process.thaw();
    const passed = answers.filter((said) => said !== 'UNAVAILABLE');
    site.promise(passed.length === 0, `nothing passes while nobody checks: ${passed.join(', ')}`);
    await sleep(3_000);
    const burnt: string[] = [];
    for (const token of mine) {
      const said = await spend(site.door, token);
      if (said !== 'UNAUTHENTICATED') burnt.push(said);
    }
    site.remark(`${burnt.length} of ${COUNT} tokens burnt, refused after ${seconds} s`);
    site.promise(burnt.length === 0, `tokens that timed out are good later: ${burnt.join(', ')}`);
  },
};
const COUNT = 40;

export const kills: readonly Fault[] = [
  ...SERVICES.flatMap((service) => [killOne(service), killBoth(service)]),
  everything,
  rolling,
  freezeOne('qs'),
  freezeOne('ds'),
  freezeAas,
];
