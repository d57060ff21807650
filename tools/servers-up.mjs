// The globalSetup of Jest's project `servers`: one PostgreSQL, one Valkey and a NATS of three for the run. Each
// world that a test opens has databases, buckets and subjects of its own on them, and an Envoy of its own.
import { fetchServers } from '../e2e/src/servers/fetch.ts';
import { Postgres } from '../e2e/src/servers/postgres.ts';
import { Run } from '../e2e/src/servers/run.ts';
import { Valkey } from '../e2e/src/servers/valkey.ts';

export default async function up() {
  await fetchServers();
  const run = Run.open();
  globalThis.roostTestRun = run;
  const [postgres, valkey] = await Promise.all([Postgres.open(), Valkey.open()]);
  process.env['ROOST_RUN_POSTGRES'] = postgres.url;
  process.env['ROOST_RUN_REDIS'] = valkey.url;
}
