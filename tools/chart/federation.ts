import type { Resource } from './render.ts';

/** What a homeserver that speaks to others has besides, by kind and the end of its name. */
const BESIDES: readonly string[] = [
  ...['Deployment federation-gateway', 'Service federation-gateway'],
  ...['ServiceAccount federation-gateway', 'PodDisruptionBudget federation-gateway'],
  ...['NetworkPolicy federation-gateway', 'Deployment federation-edge', 'Service federation-edge'],
  ...['Service federation-edge-health', 'ServiceAccount federation-edge'],
  ...['PodDisruptionBudget federation-edge', 'NetworkPolicy federation-edge'],
];

/** Nothing of it is there where it is not wanted, and all of it where it is. */
export function federationOffences(
  apart: readonly Resource[],
  federated: readonly Resource[],
): string[] {
  const unwanted = apart.filter((each) => JSON.stringify(each).includes('federation'));
  const has = (resource: string): boolean =>
    federated.some(({ kind, metadata: { name } }) => `${kind} ${name}` === named(resource));
  return [
    ...unwanted.map(({ kind, metadata }) => `${kind} ${metadata.name} has something of federation`),
    ...BESIDES.filter((each) => !has(each)).map((each) => `there is no ${each}`),
    ...['as', 'qs', 'ds']
      .filter((name) => !environmentOf(federated, name).includes('ROOST_FEDERATION_ADDRESS'))
      .map((name) => `${name} does not know the gateway`),
  ];
}

function named(resource: string): string {
  return resource.replace(' ', ' roost-');
}

function environmentOf(resources: readonly Resource[], name: string): string {
  const found = resources.find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.name === `roost-${name}`,
  );
  return JSON.stringify(found?.['spec'] ?? '');
}
