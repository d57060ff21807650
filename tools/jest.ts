// Jest as a function, in this very process: who ends us ends it, and what it says is seen as it comes.
import { run } from 'jest';

import { root } from './steps.ts';

/** Does not return before the tests have ended; Jest sets the exit code. */
export async function runJest(args: readonly string[]): Promise<void> {
  process.chdir(root);
  await run([...args]);
}
