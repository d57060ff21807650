import { Misused, runMain } from '@roost/service/run';

import { readConfig, readDrainConfig } from './config.ts';
import { drain } from './drain.ts';
import { envoyOf } from './envoy.ts';
import { HELP } from './help.ts';

await runMain(async () => {
  const [verb = 'print', ...rest] = process.argv.slice(2);
  if (rest.length > 0) throw new Misused(`${verb} takes no arguments: see --help`);
  switch (verb) {
    case '--help':
      process.stdout.write(HELP);
      return;
    case 'print':
      process.stdout.write(`${JSON.stringify(envoyOf(readConfig()), undefined, 2)}\n`);
      return;
    case 'drain':
      await drain(readDrainConfig());
      return;
    default:
      throw new Misused('say one of print, drain, --help; the configuration is in the environment');
  }
});
