import { runMain } from '@roost/service/run';
import { runRoostctl } from './program.ts';

await runMain(
  async () =>
    await runRoostctl(process.argv.slice(2), {
      environment: process.env,
      write: (text) => process.stdout.write(text),
      end: (exitCode) => {
        process.exitCode = exitCode;
      },
    }),
);
