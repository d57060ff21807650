import { expect, test } from '@jest/globals';
import { program } from './process.ts';

const environment = {
  ROOST_DOMAIN: 'a.example',
  ROOST_TLS_CERT: 'qs.crt',
  ROOST_TLS_KEY: 'qs.key',
  ROOST_TLS_CA: 'ca.crt',
  ROOST_DATABASE_URL: 'postgres://qs@localhost/qs',
  ROOST_SECRETS: 'secrets',
  ROOST_NATS_SERVERS: 'localhost:4222',
  ROOST_NATS_USER: 'qs',
  ROOST_NATS_PASSWORD: 'secret',
};
const [gateway, aas] = ['gateway.internal:7443', 'aas.internal:7443'];

test('other homeservers are reached where the gateway is named, and then the AAS is named too', () => {
  expect(program.readConfig(environment).federation).toBeUndefined();
  const both = { ROOST_FEDERATION_ADDRESS: gateway, ROOST_AAS_ADDRESS: aas };
  expect(program.readConfig({ ...environment, ...both }).federation).toEqual({
    gateway: [gateway],
    aas: [aas],
  });
  expect(() => program.readConfig({ ...environment, ROOST_FEDERATION_ADDRESS: gateway })).toThrow(
    'ROOST_AAS_ADDRESS is not set',
  );
  expect(() =>
    program.readConfig({ ...environment, ...both, ROOST_FEDERATION_ADDRESS: 'gateway' }),
  ).toThrow('ROOST_FEDERATION_ADDRESS is wrong: give name:port');
});
