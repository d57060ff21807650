import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

import { type Resolve, resolveBySystem } from './lookup.ts';

/**
 * Looks names up in a file of the form of `/etc/hosts` first: for homeservers that no DNS knows. It is read anew
 * for each name, and what is found there is judged as what is found elsewhere.
 */
export function resolveByHosts(file: string): Resolve {
  return async (name) => {
    const found = addressesIn(await readFile(file, 'utf8'), name);
    return found.length > 0 ? found : await resolveBySystem(name);
  };
}

function addressesIn(text: string, name: string) {
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = (line.split('#')[0] ?? '').trim().toLowerCase().split(/\s+/);
    const family = isIP(address);
    return family !== 0 && names.includes(name.toLowerCase()) ? [{ address, family }] : [];
  });
}
