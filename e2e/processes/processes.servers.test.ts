// What an operator does with the programs of a homeserver of separate services.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SERVICES } from '@roost/e2e/servers/environment';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { type Done, runProgram } from '@roost/e2e/servers/processes';

const folder = mkdtempSync(join(tmpdir(), 'roost-operator-'));
let world: Homeserver;
beforeAll(async () => {
  // Long enough for a program to start and to ask, on a busy machine too.
  world = await Homeserver.open({ registration: 'invite', env: { ROOST_DRAIN_MS: '7000' } });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function roostctl(name: string, certificates: string, ...command: string[]): Promise<Done> {
  const { address } = world.process(name);
  const where = ['--address', address, '--certificates', certificates, '--domain', world.domain];
  return await runProgram('services/ctl/src/main.ts', [...where, ...command]);
}

test.each(SERVICES)('%s says that it can serve, where it can', async (service) => {
  const { env } = world.process(`${service}-1`);
  const { status, output } = await runProgram(`services/${service}/src/main.ts`, ['check'], env);
  expect([status, output]).toEqual([0, `${service} can serve\n`]);
});

test('whoever is to reach other homeservers says where the gateway is not there', async () => {
  const nobody = { ROOST_FEDERATION_ADDRESS: '127.0.0.1:1', ROOST_AAS_ADDRESS: '127.0.0.1:1' };
  const checks = ['as', 'qs', 'ds'].map(async (service) => {
    const env = { ...world.process(`${service}-1`).env, ...nobody };
    return await runProgram(`services/${service}/src/main.ts`, ['check'], env);
  });
  for (const { status, output } of await Promise.all(checks)) {
    expect([status, output]).toEqual([1, expect.stringMatching(/^federation-gateway does not/m)]);
  }
});

test('the operator makes invites over the wire, at one AS, and finds them at the other', async () => {
  const made = await roostctl('as-1', world.certificates, 'invites', 'create', '--count', '3');
  expect(made.status).toBe(0);
  expect(made.output.trim().split('\n')).toHaveLength(3);
  const listed = await roostctl('as-2', world.certificates, 'invites', 'list');
  expect(listed.output).toBe('open 3\nused 0\nexpired 0\n');
});

test('nobody else does, and a service that is not the AS is not taken for it', async () => {
  copyFileSync(join(world.certificates, 'ca.crt'), join(folder, 'ca.crt'));
  for (const ending of ['crt', 'key']) {
    copyFileSync(join(world.certificates, `edge.${ending}`), join(folder, `operator.${ending}`));
  }
  const asEdge = await roostctl('as-1', folder, 'invites', 'list');
  expect([asEdge.status, asEdge.output]).toEqual([1, expect.stringContaining('METHOD_UNKNOWN')]);
  const wrongPort = await roostctl('qs-1', world.certificates, 'invites', 'list');
  expect(wrongPort.status).toBe(1);
  expect(wrongPort.output.trim().split('\n')).toHaveLength(1);
});

test('a process that is told to stop says so before it takes no more calls, and ends well', async () => {
  const process = world.process('as-2');
  const stopping = process.stop();
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await process.readiness()).toEqual({
    status: 503,
    body: 'not ready\nmissing: stopping\n',
  });
  expect((await process.ask('/livez')).status).toBe(200);
  // It still takes calls of those who have not heard.
  const { status } = await roostctl('as-2', world.certificates, 'invites', 'list');
  expect([status, await stopping]).toEqual([0, 0]);
  await process.start();
});
