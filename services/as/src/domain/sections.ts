import { malformed } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';

/** One sealed section of a direct message, by its type's number in the protobufs. */
export interface SealedSection {
  readonly type: number;
  readonly sealed: Uint8Array;
}

export const SECTIONS_MAX = 8;
const SEALED_BYTES_MAX = 65_536;
const IDENTITY = 1;
const ANSWER = 8;
const KNOWN = [1, 2, 3, 4, 5, ANSWER];

/** A message is a request, whose identity section comes first, or an answer alone. */
export function checkSections(sections: readonly SealedSection[]): void {
  const types = sections.map(({ type }) => type);
  if (sections.length > SECTIONS_MAX || !types.every((type) => KNOWN.includes(type))) {
    throw malformed('sections', `are not at most ${SECTIONS_MAX} of the types that are known`);
  }
  const isAnswer = types.length === 1 && types[0] === ANSWER;
  const isRequest = types[0] === IDENTITY && !types.includes(ANSWER);
  if (!isAnswer && !isRequest) throw malformed('sections', 'have no identity section in front');
  if (new Set(types).size !== types.length) throw malformed('sections', 'have one type twice');
  if (sections.some(({ sealed }) => sealed.length === 0 || sealed.length > SEALED_BYTES_MAX)) {
    throw malformed('sections', `are not 1 to ${SEALED_BYTES_MAX} bytes long each`);
  }
}

/** As they are kept in the queue. */
export function encodeSections(sections: readonly SealedSection[]): Uint8Array<ArrayBuffer> {
  return encode((w) =>
    w.u16(1).vector(sections, (inner, { type, sealed }) => inner.u8(type).opaque(sealed)),
  );
}

export function decodeSections(bytes: Uint8Array): readonly SealedSection[] {
  return decodeAll(bytes, 'sections', (reader) => {
    reader.version(1);
    return reader.vector(SECTIONS_MAX, (inner) => ({
      type: inner.u8(),
      sealed: inner.opaque(SEALED_BYTES_MAX),
    }));
  });
}
