// A program that starts servers and never stops them.
import { Launched } from '../src/servers/launch.ts';
import { Run } from '../src/servers/run.ts';

const run = Run.open();
const logs = run.makeFolder('sleepers');
const sleeper = { command: 'sleep', args: ['1000'], logs };
const { pid } = await Launched.start({ ...sleeper, name: 'one' });
const frozen = await Launched.start({ ...sleeper, name: 'another', lastSignal: 'SIGTERM' });
frozen.signal('SIGSTOP');
process.stdout.write(`${JSON.stringify({ pid, frozen: frozen.pid, folder: run.folder })}\n`);
setInterval(() => undefined, 1000);
