import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { nodeCrypto } from '@roost/crypto/node';

/** Makers of structures that are right but for one thing, for the tests of this package. */

/** Signs what is asked for, but says of signatures with this label that they are for something else. */
export function relabelling(label: string): Crypto {
  return signingWith((privateKey, message) => {
    const { said, content } = readSigned(message);
    const told = said === `Roost 1.0 ${label}` ? 'Roost 1.0 Other' : said;
    const other = encode((w) => w.text(told).opaque(content));
    return nodeCrypto.ed25519.sign(privateKey, other);
  });
}

/** Signs what has this label with a key of its own. */
export function forging(label: string): Crypto {
  const stranger = nodeCrypto.ed25519.generate();
  return signingWith((privateKey, message) => {
    const isMeant = readSigned(message).said === `Roost 1.0 ${label}`;
    return nodeCrypto.ed25519.sign(isMeant ? stranger.privateKey : privateKey, message);
  });
}

/** All copies with one bit changed, one for each byte. */
export function* damaged(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) {
    const copy = Uint8Array.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
    yield copy;
  }
}

function signingWith(sign: Crypto['ed25519']['sign']): Crypto {
  return { ...nodeCrypto, ed25519: { ...nodeCrypto.ed25519, sign } };
}

function readSigned(message: Uint8Array) {
  return decodeAll(message, 'signed content', (reader) => ({
    said: reader.text(64),
    content: reader.opaque(message.length),
  }));
}
