// What `helm test` runs in a cluster, against separate services behind a real Envoy.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { runProgram } from '@roost/e2e/servers/processes';

let world: Homeserver;
beforeAll(async () => {
  world = await Homeserver.open({ registration: 'invite', replicas: 1 });
});
afterAll(async () => await world[Symbol.asyncDispose]());

const environment = () => ({
  ROOST_DOMAIN: world.domain,
  ROOST_PROBE_EDGE: world.edge.address,
  ROOST_PROBE_EDGE_NAME: 'localhost',
  ROOST_PROBE_CA: world.edge.certificate,
});

const operator = () => ({
  ROOST_PROBE_AS: world.process('as-1').address,
  ROOST_TLS_CERT: join(world.certificates, 'operator.crt'),
  ROOST_TLS_KEY: join(world.certificates, 'operator.key'),
  ROOST_TLS_CA: join(world.certificates, 'ca.crt'),
});

test('two users of its own register, are connected, and hear each other in a group', async () => {
  const { status, output } = await runProgram('services/probe/src/main.ts', ['story'], {
    ...environment(),
    ...operator(),
  });
  expect([status, output]).toEqual([0, expect.stringContaining('a group was made')]);
});

test('without a code it says what the homeserver refuses', async () => {
  const { status, output } = await runProgram(
    'services/probe/src/main.ts',
    ['story'],
    environment(),
  );
  expect([status, output]).toEqual([1, expect.stringContaining('INVITE')]);
});

test('who is told of a restore that was none finds that what was spent is remembered', async () => {
  const told = await mkdtemp(join(tmpdir(), 'roost-told-'));
  for (const file of ['backed-up', 'restored']) await writeFile(join(told, file), '');
  const { status, output } = await runProgram('services/probe/src/main.ts', ['restored', told], {
    ...environment(),
    ...operator(),
  });
  await rm(told, { recursive: true });
  expect([status, output]).toEqual([
    1,
    expect.stringContaining('a spent token is answered TOKEN_SPENT, and should be TOKEN_INVALID'),
  ]);
  expect(output).toContain('ready: lose it, and restore it');
}, 90_000);
