// How a homeserver's databases come into being, whatever starts first: replicas migrate at once, nobody serves on
// a schema that is not there, and a database belongs to one domain for ever.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { certificatesOf } from '@roost/e2e/servers/certificates';
import { SERVICES, type Service } from '@roost/e2e/servers/environment';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { runProgram } from '@roost/e2e/servers/processes';
import { freshDatabase } from '@roost/testing/postgres';

let world: Homeserver;
beforeAll(async () => {
  world = await Homeserver.open({ replicas: 1 });
});
afterAll(async () => await world[Symbol.asyncDispose]());

const mainOf = (service: Service): string => `services/${service}/src/main.ts`;

test.each(SERVICES)('%s: four processes migrate an empty database at once', async (service) => {
  await using empty = await freshDatabase(undefined, { owner: `roost_${service}` });
  const { owner } = empty;
  const env = {
    ...world.process(`${service}-1`).env,
    ROOST_DATABASE_URL: 'url' in owner ? owner.url : '',
    ROOST_LISTEN: '127.0.0.1:0',
    ROOST_HEALTH_LISTEN: '127.0.0.1:0',
  };
  const early = await runProgram(mainOf(service), ['serve'], env);
  expect([early.status, early.output]).toEqual([1, expect.stringMatching(/migrate/)]);

  const four = await Promise.all(
    [1, 2, 3, 4].map(() => runProgram(mainOf(service), ['migrate'], env)),
  );
  expect(four.map(({ status, output }) => (status === 0 ? 'done' : output))).toEqual([
    ...['done', 'done', 'done', 'done'],
  ]);
  // Partitions come and go while it serves.
  const names = async (database: typeof empty) =>
    await database.query({
      text: `SELECT relname FROM pg_class
              WHERE relnamespace = 'public'::regnamespace AND NOT relispartition
              ORDER BY 1`,
    });
  expect(await names(empty)).toEqual(await names(world.databases[service]));
});

test.each(SERVICES)('%s does not serve another domain from its database', async (service) => {
  const certificates = await certificatesOf('other.example');
  const env = {
    ...world.process(`${service}-1`).env,
    ROOST_DOMAIN: 'other.example',
    ROOST_TLS_CERT: join(certificates, `${service}.crt`),
    ROOST_TLS_KEY: join(certificates, `${service}.key`),
    ROOST_TLS_CA: join(certificates, 'ca.crt'),
    ROOST_LISTEN: '127.0.0.1:0',
    ROOST_HEALTH_LISTEN: '127.0.0.1:0',
  };
  const { status, output } = await runProgram(mainOf(service), ['serve'], env);
  expect([status, output]).toEqual([1, expect.stringContaining('home.example')]);
});

test.each(SERVICES)('%s says all that is wrong at once', async (service) => {
  const { status, output } = await runProgram(mainOf(service), ['check'], {
    ...world.process(`${service}-1`).env,
    ROOST_DATABASE_URL: 'postgres://nobody:x@127.0.0.1:9/nothing',
    ROOST_NATS_SERVERS: '127.0.0.1:9',
  });
  expect(status).toBe(1);
  expect(output).toMatch(/database/i);
  if (service === 'qs' || service === 'ds') expect(output).toMatch(/nats/i);
});
