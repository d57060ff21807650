import { readFile } from 'node:fs/promises';
import { DIRECTORY_PATH } from '@roost/federation-gateway/discovery/document';
import { ensureDatabases, startEmbedded } from '@roost/postgres/embedded';
import { createLog } from '@roost/service/log';
import { adminSocket } from '@roost/service/home';
import { runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';
import { HELP, parseCommandLine } from './command-line.ts';
import { readConfig } from './config.ts';
import { openHome } from './home.ts';
import { databasesOf, openDatabases } from './databases.ts';
import { prepareFederation, readFederationConfig } from './federation.ts';
import { listen, readTls } from './listen.ts';
import { openServices } from './services.ts';
import { openWatch } from './watch.ts';

/** How long open calls get to end once we were told to stop. */
const GRACE_MS = 5_000;

/** What reflection tells; made by `npm run gen`. */
const DESCRIPTORS = new URL('../../../proto/gen/descriptors.binpb', import.meta.url);

const REGISTRATION = {
  open: 'anybody can register',
  invite: 'who has an invite code can register (npm run -s roostctl -- invites create)',
};

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
  const meeting = readFederationConfig(process.env);
  const tls = options.tls && (await readTls(options.tls));
  const readable = options.development || process.stdout.isTTY;
  const log = createLog('homeserver', config.logLevel, { readable });

  await using watch = await openWatch(config.healthListen, process.env, log);

  using home = await openHome(options.data ?? config.home, options);
  log.info({ folder: home.folder }, `home domain ${home.domain}`);
  const federation = meeting && (await prepareFederation(meeting, home.domain, options.tls));
  const database = log.named('database');
  await using cluster = await startEmbedded({
    home: home.folder,
    log: (text) => database.info({}, text),
  });
  const names = databasesOf({ isFederated: federation !== undefined });
  await using databases = await openDatabases(await ensureDatabases(cluster, names));
  database.info({}, 'PostgreSQL runs');

  const { registration } = options;
  const { quantities, pushing } = config;
  const parts = { home, databases, registration, quantities, pushing, log };
  await using services = await openServices({
    ...parts,
    federation: federation && { ...federation, database: databases.of('federation') },
  });
  log.info({}, REGISTRATION[registration]);
  const { bindings, gate, limiter, directory } = services;
  const pages = new Map(directory && [[DIRECTORY_PATH, directory]]);
  const door = { bindings, health: databases.health, log, pages };
  const admin = { path: adminSocket(home.folder) };
  await using _ = await listen({ ...door, listen: admin, callers: 'operator' });
  await using server = await listen({
    ...{ ...door, listen: options.listen, tls, callers: 'edge', gate, limiter },
    descriptors: options.development ? await readFile(DESCRIPTORS) : undefined,
  });
  await using peers =
    federation &&
    (await listen({
      ...{ ...door, listen: federation.listen, tls: federation.tls, callers: 'peer' },
      asksForCertificate: federation.config.mtls !== 'off',
    }));
  if (peers !== undefined) log.info({ listen: peers.address }, 'other homeservers are met');

  await watch.serve(async () => {
    const isWell = await databases.health();
    return { missing: isWell ? [] : ['database'], away: [] };
  });

  process.stdout.write(`ready: ${tls === undefined ? 'http' : 'https'}://${server.address}\n`);
  const signal = await stop;
  log.info({ signal }, 'stopping');
  server.drain();
  peers?.drain();
  // Listeners are asked to come back later; what else is open may end.
  await services[Symbol.asyncDispose]();
  await Promise.all([server.close(GRACE_MS), peers?.close(GRACE_MS)]);
});
