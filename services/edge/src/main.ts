import { writeFile } from 'node:fs/promises';
import { Misused, runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';

import { readConfig, readDrainConfig, readGuardConfig, readPeersConfig } from './config.ts';
import { drain } from './drain.ts';
import { envoyOf, peersEnvoyOf } from './envoy.ts';
import { guard } from './guard.ts';
import { HELP } from './help.ts';

await runMain(async () => {
  const [verb = 'print', ...rest] = process.argv.slice(2);
  const isForPeers = verb === 'print' && rest[0] === 'federation';
  if (rest.length > (verb === 'print' ? 1 : 0) + (isForPeers ? 1 : 0)) {
    throw new Misused(`${verb} takes no more arguments: see --help`);
  }
  switch (verb) {
    case '--help':
      process.stdout.write(HELP);
      return;
    case 'print': {
      const whole = isForPeers ? peersEnvoyOf(readPeersConfig()) : envoyOf(readConfig());
      const config = `${JSON.stringify(whole, undefined, 2)}\n`;
      const file = isForPeers ? rest[1] : rest[0];
      if (file === undefined) process.stdout.write(config);
      else await writeFile(file, config);
      return;
    }
    case 'drain':
      await drain(readDrainConfig());
      return;
    case 'guard':
      await guard(readGuardConfig(), shutdownSignal());
      return;
    default:
      throw new Misused(
        'say one of print, drain, guard, --help; the configuration is in the environment',
      );
  }
});
