import { isNativeError } from 'node:util/types';
import { CannotStart } from '@roost/core/cannot-start';
import type { Environment } from './config.ts';
import { shutdownSignal } from './shutdown.ts';

/** The command line makes no sense: exit code 2, as it is custom. */
export class Misused extends CannotStart {}

/**
 * What a parser of command lines (`parseArgs`) has to say against one, as a sentence: its messages name the option,
 * and what follows them is advice for programmers.
 */
export function orMisused<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const [sentence = ''] = (isNativeError(error) ? error.message : String(error)).split('. ');
    throw new Misused(`${sentence.replace(/\.$/, '')}: see --help`, { cause: error });
  }
}

/** Runs a program to its end: what stops it is one sentence on standard error and an exit code. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error instanceof Misused ? 2 : 1;
  }
}

export interface Service<Config> {
  readonly readConfig: (environment: Environment) => Config;
  readonly migrate: (config: Config) => Promise<void>;
  /** Looks whether `serve` could; throws all that is wrong. */
  readonly check: (config: Config) => Promise<void>;
  /** Serves until `stop` ends. */
  readonly serve: (config: Config, stop: Promise<unknown>) => Promise<void>;
}

/** What the `main.ts` of every service does: `serve` (when nothing is said), `migrate` or `check`. */
export async function runService<Config>(
  { readConfig, migrate, check, serve }: Service<Config>,
  args: readonly string[],
  environment: Environment,
): Promise<void> {
  await runMain(async () => {
    const [verb = 'serve', ...rest] = args;
    if (!VERBS.includes(verb) || rest.length > 0) throw new Misused(USAGE);
    if (verb === '--help') {
      process.stdout.write(`${USAGE}\n`);
      return;
    }
    const stop = shutdownSignal();
    const config = readConfig(environment);
    if (verb === 'migrate') await migrate(config);
    if (verb === 'check') await check(config);
    if (verb === 'serve') await serve(config, stop);
  });
}

const VERBS = ['serve', 'migrate', 'check', '--help'];
const USAGE =
  'say serve (the default), migrate (bring the database to this version) or check (say what would keep it ' +
  'from serving); the configuration is in the environment: see the README of the service';
