import { promises as dns } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';

import { isAllowedAddress, type Network } from '@roost/federation/address';

import { PeerUnreachable } from './unreachable.ts';

export interface Address {
  readonly address: string;
  readonly family: number;
}

/** Where names are looked up. */
export type Resolve = (name: string) => Promise<readonly Address[]>;

/** As the machine does it. */
export const resolveBySystem: Resolve = async (name) => await dns.lookup(name, { all: true });

/** How peers may be reached. */
export interface Reach {
  /** Blocks of addresses that are allowed besides the public internet. */
  readonly allowed: readonly Network[];
  /** The machine's own way, where it is absent. */
  readonly resolve?: Resolve | undefined;
}

/**
 * The addresses of a host that others named, all of which may be connected to. One that may not refuses
 * the host: a name that leads both inside and outside was made to deceive.
 */
export async function addressesOf(
  host: string,
  { allowed, resolve = resolveBySystem }: Reach,
): Promise<readonly Address[]> {
  const family = isIP(host);
  const found = family === 0 ? await resolveOrFail(host, resolve) : [{ address: host, family }];
  if (found.length === 0) throw new PeerUnreachable('name', `${host} has no address`);
  if (found.every(({ address }) => isAllowedAddress(address, allowed))) return found;
  throw new PeerUnreachable('address', `${host} leads to an address that may not be reached`);
}

/**
 * A look-up for sockets: they connect to what was checked, and nothing is looked up again. A host that is
 * an address is never asked for here, so it has to be judged before.
 */
export function checkedLookup(reach: Reach): LookupFunction {
  return (host, options, done) => void tell(addressesOf(host, reach), options.all === true, done);
}

async function tell(
  looking: Promise<readonly Address[]>,
  isAll: boolean,
  done: Parameters<LookupFunction>[2],
): Promise<void> {
  const [found] = await Promise.allSettled([looking]);
  if (found.status === 'rejected') return done(found.reason, []);
  const [first] = found.value;
  return isAll ? done(null, [...found.value]) : done(null, first?.address ?? '', first?.family);
}

async function resolveOrFail(host: string, resolve: Resolve): Promise<readonly Address[]> {
  try {
    return await resolve(host);
  } catch (error) {
    throw new PeerUnreachable('name', `${host} cannot be looked up`, error);
  }
}
