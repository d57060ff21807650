// `npm run cluster`: what happens to clusters, done to one of yours while users write to each other. See --help.
import { Cluster } from './cluster/kubectl.ts';
import { closeNamespace, describe, openNamespace } from './cluster/namespace.ts';
import { HELP, type Options, parseOptions, STEPS } from './cluster/options.ts';
import { Steps } from './cluster/steps.ts';
import { NAMESPACE } from './cluster/values.ts';

const options = parseOptions(process.argv.slice(2));
if (options === undefined) process.stdout.write(HELP);
else process.exitCode = (await tryOut(options)) ? 0 : 1;

/** Stops at the first step that fails: what comes after it would say nothing. */
async function tryOut(given: Options): Promise<boolean> {
  const cluster = new Cluster(NAMESPACE);
  await openNamespace(cluster, given.volumes[0]);
  const steps = new Steps(cluster, given);
  const began = performance.now();
  for (const name of STEPS) {
    if (given.only?.includes(name) === false) continue;
    const started = performance.now();
    const seconds = (): string => `${((performance.now() - started) / 1000).toFixed(0)} s`;
    try {
      const said = await steps[name]();
      process.stdout.write(`ok   ${name.padEnd(8)} ${seconds().padStart(6)}  ${said}\n`);
    } catch (error) {
      process.stdout.write(`FAIL ${name.padEnd(8)} ${seconds().padStart(6)}\n${String(error)}\n`);
      process.stdout.write(await describe(cluster));
      return false;
    }
  }
  process.stdout.write(`all of it in ${((performance.now() - began) / 60_000).toFixed(1)} min\n`);
  if (!given.isKept) await closeNamespace(cluster, given.volumes[0]);
  return true;
}
