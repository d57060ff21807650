import { ensureDatabases, startEmbedded } from '@roost/postgres/embedded';
import { createLog } from '@roost/service/log';
import { adminSocket } from '@roost/service/home';
import { runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';
import { HELP, parseCommandLine } from './command-line.ts';
import { readConfig } from './config.ts';
import { openHome } from './home.ts';
import { listen, readTls } from './listen.ts';
import { SERVICES, openServices } from './services.ts';

/** How long open calls get to end once we were told to stop. */
const GRACE_MS = 5_000;

// What we write is for us alone, sockets included.
process.umask(0o077);

await runMain(async () => {
  const options = parseCommandLine(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(HELP);
    return;
  }
  const stop = shutdownSignal();
  const config = readConfig(process.env);
  const tls = await readTls(options.tls);
  const readable = options.development || process.stdout.isTTY;
  const log = createLog('homeserver', config.logLevel, { readable });

  using home = await openHome(options.data ?? config.home, options);
  log.info({ folder: home.folder }, `home domain ${home.domain}`);
  const database = log.named('database');
  await using cluster = await startEmbedded({
    home: home.folder,
    log: (text) => database.info({}, text),
  });
  const databases = await ensureDatabases(cluster, SERVICES);
  database.info({}, 'PostgreSQL runs');

  await using services = await openServices({ ...options, ...home, databases, log });
  log.info({}, `registration is ${options.registration}`);
  const { bindings, gate, health, limiter } = services;
  const admin = adminSocket(home.folder);
  await using _ = await listen({ listen: { path: admin }, callers: 'operator', bindings, log });
  await using server = await listen({
    ...{ listen: options.listen, tls, callers: 'edge' },
    ...{ bindings, gate, limiter, health, log },
  });

  process.stdout.write(`ready: ${tls === undefined ? 'http' : 'https'}://${server.address}\n`);
  const signal = await stop;
  log.info({ signal }, 'stopping');
  await services.drain();
  await server.close(GRACE_MS);
});
