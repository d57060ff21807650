import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import type { Domain } from '@roost/core/ids';
import { type Channel, connect, connectPeer } from '@roost/rpc/client';
import type { Environment } from '@roost/service/config';
import { adminSocket, defaultHome } from '@roost/service/home';
import { Misused } from '@roost/service/run';
import { ownDomain } from './values.ts';

/** Where the homeserver is: the data folder of one process, or services of their own. */
export type Place =
  | { readonly data: string }
  | {
      readonly addresses: ReadonlyMap<ServiceName, readonly string[]>;
      readonly certificates: string;
      readonly domain: Domain;
    };

export const SERVICES = ['as', 'aas', 'qs', 'ds', 'federation-gateway'] as const;
export type ServiceName = (typeof SERVICES)[number];

export interface PlaceOptions {
  readonly data?: string;
  readonly address?: string;
  readonly certificates?: string;
  readonly domain?: string;
}

/** Where the operator says that it is, by options or, where none is given, by the environment. */
export function placeOf(options: PlaceOptions, environment: Environment): Place {
  const { data, address, certificates, domain } = options;
  const isSaid = [data, address, certificates, domain].some((each) => each !== undefined);
  if (!isSaid) {
    const told = placeIn(environment);
    return told === undefined ? { data: resolve(defaultHome(environment)) } : named(told);
  }
  if (data === undefined) return named(options);
  if (address !== undefined || certificates !== undefined || domain !== undefined) {
    throw belong();
  }
  return { data: resolve(data) };
}

function placeIn(environment: Environment): PlaceOptions | undefined {
  const found: Record<string, string> = {};
  for (const name of ['address', 'certificates', 'domain']) {
    const value = environment[`ROOSTCTL_${name.toUpperCase()}`];
    if (value !== undefined && value !== '') found[name] = value;
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

function named({ address, certificates, domain }: PlaceOptions): Place {
  if (address === undefined || certificates === undefined || domain === undefined) throw belong();
  return { addresses: addressesOf(address), certificates, domain: ownDomain(domain) };
}

function belong(): Misused {
  return new Misused(
    '--address, --certificates and --domain belong together, and not to --data: see --help',
  );
}

/** `as=host:port,host:port,aas=host:port`: what names no service is of the one before, the first of the AS. */
export function addressesOf(text: string): ReadonlyMap<ServiceName, readonly string[]> {
  const found = new Map<ServiceName, string[]>();
  let service: ServiceName = 'as';
  for (const item of text.split(',').map((each) => each.trim())) {
    const [name, address]: readonly string[] = item.includes('=')
      ? item.split('=', 2)
      : [service, item];
    const known: ServiceName | undefined = SERVICES.find((each) => each === name);
    if (known === undefined) {
      throw new Misused(`--address: there is no service "${name}", only ${SERVICES.join(', ')}`);
    }
    if (!/^.+:\d{1,5}$/.test(address ?? '')) {
      throw new Misused(`--address: "${item}" is not host:port, or service=host:port`);
    }
    service = known;
    found.set(known, [...(found.get(known) ?? []), String(address)]);
  }
  return found;
}

/** A connection to a service; all in one it is the same for all. */
export async function reach(place: Place, service: ServiceName): Promise<Channel> {
  if ('data' in place) {
    const socket = adminSocket(place.data);
    if (!existsSync(socket)) throw notThere(place, service);
    return connect(`unix:${socket}`);
  }
  const { certificates, domain } = place;
  const addresses = place.addresses.get(service);
  if (addresses === undefined) {
    throw new CannotStart(
      `this asks ${NAMES[service]}, and it was not said where that is: add ${service}=host:port to ` +
        '--address (or to ROOSTCTL_ADDRESS)',
    );
  }
  const read = (name: string): Promise<string> =>
    readFile(join(certificates, name), 'utf8').catch((error: unknown) => {
      throw new CannotStart(`--certificates: ${name} cannot be read (${String(error)})`);
    });
  const tls = {
    cert: await read('operator.crt'),
    key: await read('operator.key'),
    ca: await read('ca.crt'),
  };
  return connectPeer(addresses, { domain, name: service }, tls);
}

/** Whether it was said where a service is. */
export function isNamed(place: Place, service: ServiceName): boolean {
  return 'data' in place || place.addresses.has(service);
}

export function notThere(place: Place, service: ServiceName): CannotStart {
  if ('data' in place) {
    return new CannotStart(
      `no homeserver answers on ${place.data}: start it (npm start), or name the folder of the one that runs (--data)`,
    );
  }
  const at = place.addresses.get(service)?.join(', ');
  return new CannotStart(
    `nobody answers as ${NAMES[service]} of ${place.domain} at ${at}: ` +
      'is it running, and are the certificates its own?',
  );
}

const NAMES: Readonly<Record<ServiceName, string>> = {
  as: 'the authentication service',
  aas: 'the anonymous authentication service',
  qs: 'the queuing service',
  ds: 'the delivery service',
  'federation-gateway': 'the federation gateway',
};
