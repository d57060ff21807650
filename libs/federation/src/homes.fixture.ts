import { parseDomain } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';

import { type Directory, readDirectory, signDirectory } from './directory.ts';
import { firstKey, type OwnKey, trusted } from './keys.ts';
import { SPOKEN } from './versions.ts';

/** Two homeservers that write to each other, and a third one. */
export const [A, B, C] = [
  parseDomain('a.example'),
  parseDomain('b.example'),
  parseDomain('c.example'),
];
export const NOW = Date.UTC(2026, 10, 21);

export function keyOf(domain = A, nowMs = NOW - 1_000): OwnKey {
  return firstKey(nodeCrypto, domain, nowMs);
}

export function trustedOf(...keys: readonly OwnKey[]) {
  return keys.map((key) => trusted(nodeCrypto, key));
}

/** What A publishes with these keys, as others read it. */
export function directoryOf(
  keys: readonly OwnKey[],
  changes: Partial<Omit<Directory, 'keys' | 'expiresMs'>> = {},
) {
  const directory = {
    ...{ domain: A, serial: 1n, createdMs: NOW, protocol: SPOKEN },
    ...{ endpoint: { host: 'federation.a.example', port: 8443 }, pins: [] },
    ...changes,
  };
  return readDirectory(nodeCrypto, signDirectory(nodeCrypto, { ...directory, keys }));
}
