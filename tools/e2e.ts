// `npm run e2e`: the stories over separate services and real servers.
import { fetchServers } from '../e2e/src/servers/fetch.ts';
import { runMain } from '../libs/service/src/run.ts';
import { runJest } from './jest.ts';

const HELP = `Usage: npm run -s e2e -- [pattern ...] [Jest's options]

Starts PostgreSQL, NATS (three), Valkey, and for each story an Envoy and two processes of each service; runs
the tests and stories that need them; and stops everything, also after a failure or Ctrl-C.

  pattern   only files whose path matches, such as: stories/rolling client/chat
  -t <re>   only tests whose name matches (Jest's)
  --help    this text

Servers that are not on the PATH are installed into .cache/servers. What the processes of a story that failed
have said is shown after it. The faults are a program of their own: npm run -s faults.
`;

await runMain(async () => {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    process.stdout.write(HELP);
    return;
  }
  await fetchServers();
  await runJest(['--verbose', ...args, '--selectProjects', 'servers']);
});
