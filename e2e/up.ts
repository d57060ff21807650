// `npm run up`: a homeserver of separate services on this machine, to try out and to look into. It keeps nothing:
// for data that stays there is `npm start`, and for a homeserver of many machines the chart.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchServers } from '@roost/e2e/servers/fetch';
import { Ground } from '@roost/e2e/servers/ground';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { Run } from '@roost/e2e/servers/run';
import { Misused, orMisused, runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';

const HELP = `Usage: npm run -s up -- [options]

A homeserver of separate services on this machine: PostgreSQL, NATS (three), Valkey, several processes of each
service, and Envoy in front. All of it is thrown away in the end; Ctrl-C stops it.

  --replicas <n>   processes of each service, 1 to 4 (default 2)
  --help           this text
`;

await runMain(async () => {
  const { values } = parse(process.argv.slice(2));
  if (values.help === true) return void process.stdout.write(HELP);
  const replicas = Number(values.replicas ?? '2');
  if (![1, 2, 3, 4].includes(replicas)) {
    throw new Misused(`--replicas "${values.replicas}" makes no sense: give 1, 2, 3 or 4`);
  }
  const stop = shutdownSignal();
  await using run = Run.open();
  const say = (text: string): void => void process.stderr.write(`up: ${text}\n`);
  await fetchServers(say);
  say('starting PostgreSQL, NATS (three) and Valkey');
  await using ground = await Ground.open();
  ground.share();
  say(`starting ${replicas} of each service, and Envoy`);
  await using homeserver = await Homeserver.open({ replicas });
  process.stdout.write(`${told(homeserver, run)}\nready: https://${homeserver.door.address}\n`);
  // A signal that may come keeps no process alive.
  const waiting = setInterval(() => undefined, 60_000);
  await stop;
  clearInterval(waiting);
  say('stopping');
  await homeserver.stop();
});
// A pool that is still being closed keeps nobody.
process.exit();

function parse(args: string[]) {
  return orMisused(() =>
    parseArgs({
      args,
      options: { replicas: { type: 'string' }, help: { type: 'boolean' } },
    }),
  );
}

/** How to reach it, and where to look. */
function told(homeserver: Homeserver, { folder }: Run): string {
  const [as] = homeserver.of('as');
  const ca = join(folder, 'edge.pem');
  mkdirSync(folder, { recursive: true });
  writeFileSync(ca, homeserver.door.ca ?? '');
  const pages = [...homeserver.processes.values()].map(
    ({ name, healthAddress }) => `  ${name.padEnd(6)} http://${healthAddress}/readyz and /metrics`,
  );
  const place = `--address ${as?.address} --certificates ${homeserver.certificates} --domain ${homeserver.domain}`;
  return [
    `chat:   npm run -s chat -- alice --server https://${homeserver.door.address} --tls-ca ${ca}`,
    `orders: npm run -s roostctl -- ${place} invites list`,
    'pages:',
    ...pages,
    `logs:   ${homeserver.logs}`,
  ].join('\n');
}
