import { ClientId, type Domain, parseDomain, UserId, uuidOf } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { nodeCrypto } from '@roost/crypto/node';

import { issueAsIntermediate, makeAsRoot, readAsRoot, readAuthority } from './authority.ts';
import {
  issueClientCredential,
  issueNameBinding,
  makeClientCredentialRequest,
} from './credentials.ts';

/** A domain with its keys, and users of it, for the tests of this package. */

export const now = Date.UTC(2026, 10, 21);
export const home = parseDomain('roost.example');

const years = (count: number) => ({ notBefore: now, notAfter: now + count * 365 * DAY_MS });

export function authorityOf(domain: Domain = home, crypto: Crypto = nodeCrypto) {
  const [rootKey, key] = [crypto.ed25519.generate(), crypto.ed25519.generate()];
  const root = makeAsRoot(crypto, rootKey, domain, years(10));
  const { hash, notBefore, notAfter } = readAsRoot(
    nodeCrypto,
    makeAsRoot(nodeCrypto, rootKey, domain, years(10)),
  );
  const rootIssuer = {
    domain,
    hash: crypto === nodeCrypto ? hash : crypto.sha256(root),
    notBefore,
    notAfter,
    privateKey: rootKey.privateKey,
  };
  const intermediate = issueAsIntermediate(crypto, rootIssuer, key, years(1));
  const published = { roots: [root], intermediates: [intermediate], revoked: [] };
  const issuer = {
    domain,
    hash: crypto.sha256(intermediate),
    ...years(1),
    privateKey: key.privateKey,
  };
  return {
    root,
    rootIssuer,
    intermediate,
    issuer,
    published,
    authority: readAuthority(nodeCrypto, domain, published),
  };
}

export type TestAuthority = ReturnType<typeof authorityOf>;

export function clientOf(
  { issuer }: TestAuthority,
  name = 'alice',
  { crypto = nodeCrypto, days = 90 }: { crypto?: Crypto; days?: number } = {},
) {
  const uuid = () => uuidOf(crypto.random(16));
  const { domain } = issuer;
  const clientId = ClientId.of(UserId.of(uuid(), domain), uuid());
  const key = crypto.ed25519.generate();
  const recoveryKeyHash = crypto.random(32);
  const validity = { notBefore: now, notAfter: now + days * DAY_MS };
  const request = makeClientCredentialRequest(crypto, key, recoveryKeyHash);
  return {
    clientId,
    key,
    recoveryKeyHash,
    request,
    privateKey: key.privateKey,
    clientCredential: issueClientCredential(crypto, issuer, { request, clientId, ...validity }),
    nameBinding: issueNameBinding(crypto, issuer, {
      userName: { name, domain },
      userId: clientId.user,
      ...validity,
    }),
  };
}
