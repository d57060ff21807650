import { expect, test } from '@jest/globals';
import { type Options, parseOptions } from './options.ts';
import { domainIn, federatedOf, imageValues, NAMESPACE, valuesOf } from './values.ts';

function optionsOf(...args: string[]): Options {
  const options = parseOptions(args);
  if (options === undefined) throw new Error('help is not asked for here');
  return options;
}

test('an image is a repository and a tag, also where its registry has a port', () => {
  expect(imageValues('images.example:5000/roost:1.2')).toEqual({
    image: { repository: 'images.example:5000/roost', tag: '1.2' },
  });
});

test('servers are the usual ones unless it is said where others are', () => {
  expect(valuesOf(optionsOf())).toMatchObject({ nats: { bundled: true, replicas: 3 } });
  expect(valuesOf(optionsOf())['nats']).not.toHaveProperty('image');
  expect(valuesOf(optionsOf('--servers', 'own.example'))).toMatchObject({
    edge: { image: 'own.example/envoy:dev' },
    postgresql: { image: 'own.example/postgres:dev' },
  });
});

test('a homeserver keeps its domain and its size when it begins to speak to another, which is smaller', () => {
  const options = optionsOf('--servers', 'own.example');
  const [first, second] = [
    federatedOf(options, NAMESPACE, 'elsewhere'),
    federatedOf(options, 'elsewhere', NAMESPACE),
  ];
  const { domain, nats, postgresql, services } = valuesOf(options);
  expect(first).toMatchObject({ domain, nats, postgresql, services: Object(services) });
  expect(second).toMatchObject({ domain: domainIn('elsewhere'), nats: { replicas: 1 } });
});

test('each of two names the other, and where it is itself', () => {
  const told = [NAMESPACE, 'elsewhere'].map((here, at, both) =>
    federatedOf(optionsOf(), here, both[1 - at] ?? ''),
  );
  expect(told.map(({ tests }) => Object(tests).peer.domain)).toEqual([
    domainIn('elsewhere'),
    domainIn(NAMESPACE),
  ]);
  expect(told.map(({ federation }) => Object(federation).endpoint)).toEqual([
    `roost-federation-edge.${NAMESPACE}.svc.cluster.local:8448`,
    'roost-federation-edge.elsewhere.svc.cluster.local:8448',
  ]);
});
