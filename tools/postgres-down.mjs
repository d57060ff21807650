// Jest's globalTeardown: stops what postgres-up.mjs started.
import { once } from 'node:events';

export default async function down() {
  const started = globalThis.roostTestPostgres;
  if (started === undefined) return;
  await started.cluster.stop();
  // It was let go at the start; waiting on it alone, Node would end here, with 0 whatever failed.
  started.janitor.ref();
  started.janitor.stdin.end();
  if (started.janitor.exitCode === null) await once(started.janitor, 'exit');
}
