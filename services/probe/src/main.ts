import { Failure } from '@roost/core/failure';
import { CannotStart } from '@roost/core/cannot-start';
import { Misused, runMain } from '@roost/service/run';
import { shutdownSignal } from '@roost/service/shutdown';
import { stayApart } from './apart.ts';
import { readConfig } from './config.ts';
import { load } from './load.ts';
import { liveThroughRestore } from './restored.ts';
import { tellStory } from './story.ts';

const PATIENCE = { attemptMs: 2_000, settleMs: 30_000 };

await runMain(async () => {
  const [verb, ...addresses] = process.argv.slice(2);
  if (verb === 'story' && addresses.length === 0) {
    await tellStory(readConfig(), say).catch((error: unknown) => {
      if (!(error instanceof Failure)) throw error;
      throw new CannotStart(`refused: ${error.message} (${error.reason})`, { cause: error });
    });
  } else if (verb === 'load' && addresses.length === 2) {
    const [pairs = 0, everyMs = 0] = addresses.map(Number);
    if (!(pairs > 0 && everyMs > 0)) throw new Misused('say load <pairs> <milliseconds>');
    await load({ config: readConfig(), pairs, everyMs, say }, shutdownSignal());
    say('everything that was sent came, once and in its order');
  } else if (verb === 'apart' && addresses.length > 0) {
    await stayApart(addresses, PATIENCE);
    say(`as it should be, nobody can be reached of ${addresses.join(', ')}`);
  } else if (verb === 'restored' && addresses.length === 1) {
    const [told = ''] = addresses;
    await liveThroughRestore({ config: readConfig(), told, say });
  } else {
    throw new Misused(
      'say story, load <pairs> <milliseconds>, restored <folder>, or apart <host:port>…',
    );
  }
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
