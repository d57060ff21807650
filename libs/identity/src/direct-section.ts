import { Failure } from '@roost/core/failure';
import { type ClientId, writeClientId } from '@roost/core/ids';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openWith, sealTo } from '@roost/crypto/hpke';
import { padTo, unpad } from '@roost/crypto/sealed';

import { hpkeInfo } from './structure.ts';

/** One section of a direct message, as it is before it is sealed. */
export interface SectionContent {
  /** The number of roost.authentication.v1.SectionType. */
  readonly type: number;
  readonly plaintext: Uint8Array;
}

const SECTION_LABEL = 'DirectSection';
const SECTION_PADDING = 256;

/** What ties the other sections of a request to its identity section; in their order. */
export function hashSections(
  crypto: Crypto,
  sections: readonly SectionContent[],
): Uint8Array<ArrayBuffer> {
  const list = encode((w) => {
    for (const { type, plaintext } of sections) w.u8(type).fixed(crypto.sha256(plaintext));
  });
  return crypto.sha256(list);
}

/** Seals one section to the connection package of one client. */
export function sealSection(
  crypto: Crypto,
  hpkeKey: Uint8Array,
  target: ClientId,
  { type, plaintext }: SectionContent,
): Uint8Array<ArrayBuffer> {
  const padded = padTo(plaintext, SECTION_PADDING);
  return sealTo(crypto, hpkeKey, sectionBinding(type, target), padded);
}

/** Opens a section. Throws where it is of another type, for another client or to another key. */
export function openSection(
  crypto: Crypto,
  hpkePrivateKey: Uint8Array,
  target: ClientId,
  { type, sealed }: { readonly type: number; readonly sealed: Uint8Array },
): Uint8Array<ArrayBuffer> {
  const padded = openWith(crypto, hpkePrivateKey, sectionBinding(type, target), sealed);
  if (padded === undefined) throw new Failure('UNAUTHENTICATED', 'section: it does not open');
  return unpad(padded);
}

function sectionBinding(type: number, target: ClientId) {
  const aad = encode((w) => writeClientId(w.u8(type), target));
  return { info: hpkeInfo(SECTION_LABEL), aad };
}
