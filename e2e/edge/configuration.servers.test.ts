// Envoy itself says whether a configuration is one; and what is wrong with the environment is said in sentences.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { certificatesOf } from '@roost/e2e/servers/certificates';
import { fetchServer } from '@roost/e2e/servers/fetch';
import { type Environment, runProgram } from '@roost/e2e/servers/processes';
import { Run } from '@roost/e2e/servers/run';

const EDGE = 'services/edge/src/main.ts';
const run = promisify(execFile);

async function environment(): Promise<Environment> {
  const certificates = await certificatesOf('home.example');
  const pair = (name: string) => [
    join(certificates, `${name}.crt`),
    join(certificates, `${name}.key`),
  ];
  const [[doorCert, doorKey], [cert, key], [gateCert, gateKey], [peerCert, peerKey]] = [
    pair('as'),
    pair('edge'),
    pair('gate'),
    pair('peer'),
  ];
  return {
    ROOST_DOMAIN: 'home.example',
    ...{ ROOST_LISTEN: '0.0.0.0:8443', ROOST_HEALTH_LISTEN: '[::]:9464' },
    ...{ ROOST_DOOR_CERT: doorCert, ROOST_DOOR_KEY: doorKey },
    ...{ ROOST_TLS_CERT: cert, ROOST_TLS_KEY: key, ROOST_TLS_CA: join(certificates, 'ca.crt') },
    ...{ ROOST_GATE_CERT: gateCert, ROOST_GATE_KEY: gateKey },
    // Read where other homeservers come in, and not otherwise.
    ...{ ROOST_FEDERATION_CERT: doorCert, ROOST_FEDERATION_KEY: doorKey },
    ...{ ROOST_PEER_CERT: peerCert, ROOST_PEER_KEY: peerKey },
    ...{
      ROOST_AS_ADDRESS: 'as.roost.svc:7680',
      ROOST_AAS_ADDRESS: '192.0.2.1:7680,192.0.2.2:7680',
    },
    ...{ ROOST_QS_ADDRESS: '[2001:db8::1]:7680', ROOST_DS_ADDRESS: 'ds-0.ds:7680,ds-1.ds:7680' },
  };
}

test.each([
  ['as it is by default', {}],
  [
    'with everything that may be said',
    {
      ...{ ROOST_ALLOWED_ORIGINS: 'https://a.example,https://b.example:8443' },
      ...{
        ROOST_ADMIN_LISTEN: '[::1]:9902',
        ROOST_CONNECTIONS_MAX: '10',
        ROOST_HEAP_MEGABYTES: '128',
      },
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_TRACES_SAMPLER_ARG: '0.1' },
    },
  ],
  [
    'with a listener for other homeservers',
    {
      ...{
        ROOST_FEDERATION_LISTEN: '[::]:8448',
        ROOST_DIRECTORY_ADDRESS: 'gateway.roost.svc:7680',
      },
      ...{ ROOST_GATEWAY_ADDRESS: 'gateway.roost.svc:7443', ROOST_FEDERATION_MTLS: 'required' },
    },
  ],
])('Envoy takes the configuration %s, and has no complaint', async (_, more) => {
  const env = { ...(await environment()), ...more };
  await assertTaken(['print'], env);
});

test('Envoy takes the configuration of one for other homeservers alone', async () => {
  const env = {
    ...(await environment()),
    ...{ ROOST_FEDERATION_LISTEN: '0.0.0.0:8448', ROOST_GATEWAY_ADDRESS: '192.0.2.1:7443' },
    ...{ ROOST_FEDERATION_MTLS: 'off', ROOST_LISTEN: undefined, ROOST_AS_ADDRESS: undefined },
  };
  await assertTaken(['print', 'federation'], env);
  const half = await runProgram(EDGE, ['print', 'federation'], { ...env, ROOST_PEER_KEY: '' });
  expect(half).toEqual({ status: 1, output: expect.stringContaining('ROOST_PEER_KEY is not set') });
});

async function assertTaken(args: readonly string[], env: Environment): Promise<void> {
  const { status, output } = await runProgram(EDGE, args, env);
  expect([status, output.slice(0, 1)]).toEqual([0, '{']);
  const path = join(Run.current().makeFolder('configuration'), 'envoy.json');
  writeFileSync(path, output);
  const { path: envoy } = await fetchServer('envoy');
  const { stdout, stderr } = await run(envoy, ['--mode', 'validate', '--config-path', path]);
  expect(stdout + stderr).toContain('OK');
  // Also nothing that is deprecated.
  expect(stderr).not.toMatch(/\[(warning|error|critical)\]/);
}

test('what is wrong with the environment is said all at once', async () => {
  const env = await environment();
  const { status, output } = await runProgram(EDGE, [], {
    ...env,
    ...{ ROOST_ADMIN_LISTEN: '0.0.0.0:9901', ROOST_DS_ADDRESS: 'ds', ROOST_GATE_KEY: '' },
    ...{ ROOST_ALLOWED_ORIGINS: 'https://a.example/' },
  });
  expect(status).toBe(1);
  expect(output.trim().split('\n')).toEqual([
    expect.stringMatching(/^ROOST_ADMIN_LISTEN is wrong: give .*loopback/),
    expect.stringMatching(/^ROOST_GATE_KEY is not set: give the path/),
    expect.stringMatching(/^ROOST_DS_ADDRESS is wrong: give host:port/),
    expect.stringMatching(/^ROOST_ALLOWED_ORIGINS is wrong: give origins/),
  ]);
  expect((await runProgram(EDGE, ['flush'], env)).status).toBe(2);
  const help = await runProgram(EDGE, ['--help']);
  expect(help.output).toContain('ROOST_DOOR_CERT');
  const away = await runProgram(EDGE, ['drain'], { ROOST_ADMIN_LISTEN: '127.0.0.1:1' });
  expect([away.status, away.output]).toEqual([1, expect.stringContaining('no Envoy answers')]);
});
