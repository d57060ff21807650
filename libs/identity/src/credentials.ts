import { assert } from '@roost/core/assert';
import { equal, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import {
  ClientId,
  type Domain,
  DOMAIN_BYTES_MAX,
  parseDomain,
  parseUserName,
  printUserName,
  UserId,
  type UserName,
  writeClientId,
  writeScoped,
} from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto, KeyPair } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';

import {
  type AsIntermediate,
  type Authority,
  type Issuer,
  UnknownIssuer,
  withinIssuer,
} from './authority.ts';
import {
  HASH_BYTES,
  KEY_BYTES,
  PAYLOAD_BYTES_MAX,
  readValidity,
  SIGNATURE_BYTES,
  type Standing,
  standingAt,
  type Validity,
  VERSION,
  writeValidity,
} from './structure.ts';

/** What a client asks the AS to sign: its key, and the hash of the account's recovery key. */
export interface ClientCredentialRequest {
  readonly publicKey: Uint8Array;
  readonly recoveryKeyHash: Uint8Array;
}

/** The AS vouches for the key of one client. */
export interface ClientCredential extends ClientCredentialRequest, Validity {
  readonly clientId: ClientId;
}

/** The AS vouches that a user has a name. */
export interface NameBinding extends Validity {
  readonly userName: UserName;
  readonly userId: UserId;
}

const REQUEST_LABEL = 'ClientCredentialRequest';
const CREDENTIAL_LABEL = 'ClientCredential';
const BINDING_LABEL = 'NameBinding';
/** `name@domain`: 63 characters, the sign, and a domain. */
const USER_NAME_BYTES_MAX = 63 + 1 + DOMAIN_BYTES_MAX;

/** Makes a self-signed request for a client credential. */
export function makeClientCredentialRequest(
  crypto: Crypto,
  key: KeyPair,
  recoveryKeyHash: Uint8Array,
): Uint8Array<ArrayBuffer> {
  assert(recoveryKeyHash.length === HASH_BYTES, 'a recovery key is hashed with SHA-256');
  const payload = encode((w) => w.u16(VERSION).fixed(key.publicKey).fixed(recoveryKeyHash));
  const signature = signWithLabel(crypto, key.privateKey, REQUEST_LABEL, payload);
  return encode((w) => w.opaque(payload).opaque(signature));
}

/** Reads a request and checks that its key signed it. */
export function readClientCredentialRequest(
  crypto: Crypto,
  bytes: Uint8Array,
): ClientCredentialRequest {
  const { payload, signature } = decodeAll(bytes, 'ClientCredentialRequest', (reader) => ({
    payload: reader.opaque(PAYLOAD_BYTES_MAX),
    signature: reader.opaque(SIGNATURE_BYTES),
  }));
  const request = decodeAll(payload, 'ClientCredentialRequest', (reader) => {
    reader.version(VERSION);
    return { publicKey: reader.fixed(KEY_BYTES), recoveryKeyHash: reader.fixed(HASH_BYTES) };
  });
  if (!verifyWithLabel(crypto, request.publicKey, REQUEST_LABEL, payload, signature)) {
    throw forged('the request for it is not signed by its key');
  }
  return request;
}

/** Issues a credential for a request; its validity is cut to the issuer's. */
export function issueClientCredential(
  crypto: Crypto,
  issuer: Issuer,
  { request, clientId, ...asked }: Validity & { request: Uint8Array; clientId: ClientId },
): Uint8Array<ArrayBuffer> {
  const { publicKey, recoveryKeyHash } = readClientCredentialRequest(crypto, request);
  const validity = withinIssuer(issuer, asked);
  const payload = encode((w) => {
    writeClientId(w.u16(VERSION), clientId);
    writeValidity(w, validity).fixed(publicKey).fixed(recoveryKeyHash).fixed(issuer.hash);
  });
  const content = encode((w) => w.opaque(request).opaque(payload));
  const signature = signWithLabel(crypto, issuer.privateKey, CREDENTIAL_LABEL, content);
  return encode((w) => w.opaque(request).opaque(payload).opaque(signature));
}

/**
 * Verifies a client credential up to a root of its domain. Throws where it was not issued like
 * that; whether it holds at `nowMs` is told by its standing, as an expired one is no forgery.
 */
export function verifyClientCredential(
  crypto: Crypto,
  bytes: Uint8Array,
  authority: Authority,
  nowMs: number,
): { readonly credential: ClientCredential; readonly standing: Standing } {
  const { request, payload, signature } = splitCredential(bytes);
  const { issuer, ...credential } = readCredentialPayload(payload);
  const asked = readClientCredentialRequest(crypto, request);
  if (
    !equal(asked.publicKey, credential.publicKey) ||
    !equal(asked.recoveryKeyHash, credential.recoveryKeyHash)
  ) {
    throw forged('it was issued for another key than was asked for');
  }
  const intermediate = issuerOf(authority, issuer, credential);
  if (credential.clientId.user.domain !== authority.domain) throw forged('its domain is another');
  const content = encode((w) => w.opaque(request).opaque(payload));
  if (!verifyWithLabel(crypto, intermediate.publicKey, CREDENTIAL_LABEL, content, signature)) {
    throw forged('its signature does not hold');
  }
  const hashes = [crypto.sha256(bytes), intermediate.hash];
  return { credential, standing: standingIn(authority, hashes, credential, nowMs) };
}

/** Reads a credential without verifying it: whose it says it is, and with which key. */
export function readClientCredential(bytes: Uint8Array): ClientCredential {
  const { issuer: _, ...credential } = readCredentialPayload(splitCredential(bytes).payload);
  return credential;
}

/** Issues a name binding; its validity is cut to the issuer's. */
export function issueNameBinding(
  crypto: Crypto,
  issuer: Issuer,
  { userName, userId, ...asked }: NameBinding,
): Uint8Array<ArrayBuffer> {
  const payload = encode((w) => {
    writeScoped(w.u16(VERSION).text(printUserName(userName)), userId);
    writeValidity(w, withinIssuer(issuer, asked)).fixed(issuer.hash);
  });
  const signature = signWithLabel(crypto, issuer.privateKey, BINDING_LABEL, payload);
  return encode((w) => w.opaque(payload).opaque(signature));
}

/** As `verifyClientCredential`, for the name of a user. */
export function verifyNameBinding(
  crypto: Crypto,
  bytes: Uint8Array,
  authority: Authority,
  nowMs: number,
): { readonly binding: NameBinding; readonly standing: Standing } {
  const { payload, signature } = decodeAll(bytes, 'NameBinding', (reader) => ({
    payload: reader.opaque(PAYLOAD_BYTES_MAX),
    signature: reader.opaque(SIGNATURE_BYTES),
  }));
  const { issuer, ...binding } = readBindingPayload(payload, authority.domain);
  const intermediate = issuerOf(authority, issuer, binding);
  const { userName, userId } = binding;
  if (userName.domain !== authority.domain || userId.domain !== authority.domain) {
    throw forged('its domain is another');
  }
  if (!verifyWithLabel(crypto, intermediate.publicKey, BINDING_LABEL, payload, signature)) {
    throw forged('its signature does not hold');
  }
  const hashes = [crypto.sha256(bytes), intermediate.hash];
  return { binding, standing: standingIn(authority, hashes, binding, nowMs) };
}

function splitCredential(bytes: Uint8Array) {
  return decodeAll(bytes, 'ClientCredential', (reader) => ({
    request: reader.opaque(PAYLOAD_BYTES_MAX),
    payload: reader.opaque(PAYLOAD_BYTES_MAX),
    signature: reader.opaque(SIGNATURE_BYTES),
  }));
}

function readCredentialPayload(payload: Uint8Array) {
  return decodeAll(payload, 'ClientCredential', (reader) => {
    reader.version(VERSION);
    return {
      clientId: ClientId.read(reader),
      ...readValidity(reader),
      publicKey: reader.fixed(KEY_BYTES),
      recoveryKeyHash: reader.fixed(HASH_BYTES),
      issuer: reader.fixed(HASH_BYTES),
    };
  });
}

function readBindingPayload(payload: Uint8Array, home: Domain) {
  return decodeAll(payload, 'NameBinding', (reader) => {
    reader.version(VERSION);
    const text = reader.text(USER_NAME_BYTES_MAX);
    const userName = parseUserName(text, home);
    // One form only: what is folded or completed on reading was not what the AS should have signed.
    if (printUserName(userName) !== text) throw reader.refuse('the name is not in its own form');
    return {
      userName: { name: userName.name, domain: parseDomain(userName.domain) },
      userId: UserId.read(reader),
      ...readValidity(reader),
      issuer: reader.fixed(HASH_BYTES),
    };
  });
}

function issuerOf(authority: Authority, hash: Uint8Array, validity: Validity): AsIntermediate {
  const issuer = authority.intermediates.get(toHex(hash));
  if (issuer === undefined) {
    throw new UnknownIssuer(authority.domain, 'credential: its issuer is unknown');
  }
  if (validity.notBefore < issuer.notBefore || validity.notAfter > issuer.notAfter) {
    throw forged('it is valid outside the time of its issuer');
  }
  return issuer;
}

function standingIn(
  authority: Authority,
  hashes: readonly Uint8Array[],
  validity: Validity,
  nowMs: number,
): Standing {
  if (hashes.some((hash) => authority.revoked.has(toHex(hash)))) return 'revoked';
  return standingAt(validity, nowMs);
}

function forged(message: string): Failure {
  return new Failure('UNAUTHENTICATED', `credential: ${message}`);
}
