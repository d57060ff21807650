// `npm run up`: a homeserver of separate services on this machine, to try out and to look into. It keeps nothing:
// for data that stays there is `npm start`, and for a homeserver of many machines the chart.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchServers } from '@roost/e2e/servers/fetch';
import { Ground } from '@roost/e2e/servers/ground';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { Run } from '@roost/e2e/servers/run';
import {
  FederationAdminServiceDefinition,
  FederationMode,
} from '@roost/proto/roost/federation/v1/admin';
import { Misused, orMisused, runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';

const HELP = `Usage: npm run -s up -- [options]

A homeserver of separate services on this machine: PostgreSQL, NATS (three), Valkey, several processes of each
service, and Envoy in front. All of it is thrown away in the end; Ctrl-C stops it.

  --replicas <n>      processes of each service, 1 to 4 (default 2)
  --homeservers <n>   1 to 3 (default 1): a.example, b.example and c.example, which may meet each other
  --help              this text
`;

const DOMAINS = ['a.example', 'b.example', 'c.example'];

await runMain(async () => {
  const { values } = parse(process.argv.slice(2));
  if (values.help === true) return void process.stdout.write(HELP);
  const replicas = given('replicas', values.replicas, 2, 4);
  const count = given('homeservers', values.homeservers, 1, DOMAINS.length);
  const stop = shutdownSignal();
  await using run = Run.open();
  const say = (text: string): void => void process.stderr.write(`up: ${text}\n`);
  await fetchServers(say);
  say('starting PostgreSQL, NATS (three) and Valkey');
  await using ground = await Ground.open();
  ground.share();
  say(`starting ${replicas} of each service, and Envoy`);
  await using opened = new AsyncDisposableStack();
  const homeservers =
    count === 1
      ? [opened.use(await Homeserver.open({ replicas }))]
      : await openNeighbours(DOMAINS.slice(0, count), replicas, opened);
  for (const each of homeservers) process.stdout.write(`${told(each, run)}\n`);
  const doors = homeservers.map(({ door }) => `https://${door.address}`);
  process.stdout.write(`ready: ${doors.join(' ')}\n`);
  // A signal that may come keeps no process alive.
  const waiting = setInterval(() => undefined, 60_000);
  await stop;
  clearInterval(waiting);
  say('stopping');
  await Promise.all(homeservers.map((each) => each.stop()));
});
// A pool that is still being closed keeps nobody.
process.exit();

function parse(args: string[]) {
  return orMisused(() =>
    parseArgs({
      args,
      options: {
        replicas: { type: 'string' },
        homeservers: { type: 'string' },
        help: { type: 'boolean' },
      },
    }),
  );
}

function given(option: string, value: string | undefined, usual: number, most: number): number {
  const count = Number(value ?? usual);
  if (Number.isInteger(count) && count >= 1 && count <= most) return count;
  throw new Misused(`--${option} "${value}" makes no sense: give a number from 1 to ${most}`);
}

/** Everybody lets everybody in. */
async function openNeighbours(
  domains: readonly string[],
  replicas: number,
  opened: AsyncDisposableStack,
): Promise<Homeserver[]> {
  const neighbourhood = opened.use(await Neighbourhood.open(domains));
  const homeservers: Homeserver[] = [];
  for (const domain of domains) {
    const homeserver = opened.use(await Homeserver.open({ domain, neighbourhood, replicas }));
    const { setMode } = homeserver.operator(FederationAdminServiceDefinition);
    await setMode({ mode: FederationMode.OPEN });
    homeservers.push(homeserver);
  }
  return homeservers;
}

/** How to reach it, and where to look. */
function told(homeserver: Homeserver, { folder }: Run): string {
  const isMet = homeserver.federation !== undefined;
  const services = ['as', 'aas', 'qs', 'ds', ...(isMet ? (['federation-gateway'] as const) : [])];
  const addresses = services.map(
    (service) => `${service}=${homeserver.process(`${service}-1`).address}`,
  );
  const ca = join(folder, `${homeserver.domain}.pem`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(ca, homeserver.door.ca ?? '');
  const pages = [...homeserver.processes.values()].map(
    ({ name, healthAddress }) => `  ${name.padEnd(20)} http://${healthAddress}/readyz and /metrics`,
  );
  const place = `--address ${addresses.join(',')} --certificates ${homeserver.certificates} --domain ${homeserver.domain}`;
  return [
    `${homeserver.domain}:`,
    `chat:   npm run -s chat -- alice --server https://${homeserver.door.address} --tls-ca ${ca}`,
    `orders: npm run -s roostctl -- ${place} ${isMet ? 'federation peers' : 'invites list'}`,
    'pages:',
    ...pages,
    `logs:   ${homeserver.logs}`,
  ].join('\n');
}
