// The globalSetup of Jest's project `servers`: one PostgreSQL, one Valkey and a NATS of three for the run. Each
// world that a test opens has databases, buckets and subjects of its own on them, and an Envoy of its own.
import { fetchServers } from '../e2e/src/servers/fetch.ts';
import { Ground } from '../e2e/src/servers/ground.ts';
import { Run } from '../e2e/src/servers/run.ts';

export default async function up() {
  await fetchServers();
  globalThis.roostTestRun = Run.open();
  const ground = await Ground.open();
  ground.share();
}
