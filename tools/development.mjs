// The entry point of the image for development: what the chart asks of /app/<program>/main.js is done by the sources,
// and what serves starts anew when they change.
import { spawn } from 'node:child_process';

const given = process.argv.slice(2);
const args = given.map((each) =>
  each.replace(/^\/app\/([a-z-]+)\/main\.js$/, '/src/services/$1/src/main.ts'),
);
const stays = ['serve', 'guard'].includes(args.at(-1) ?? '');
const child = spawn(
  process.execPath,
  [...(stays ? ['--watch-preserve-output', '--watch'] : []), ...args],
  {
    stdio: 'inherit',
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('close', (code) => process.exit(code ?? 1));
