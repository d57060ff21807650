import { extensionTypeToNumber } from 'ts-mls/extension.js';
import type { Extension } from 'ts-mls/extension.js';

/** The numbers of MLS extensions that Roost reads and writes; the table is in `proto/README.md`. */
export const EXTENSION = {
  applicationId: 0x0001,
  ratchetTree: 0x0002,
  requiredCapabilities: 0x0003,
  externalPub: 0x0004,
  externalSenders: 0x0005,
  /** KeyPackage: this one may be used again (drafts up to -06 of the MLS extensions). */
  lastResort: 0x000a,
  /** GroupContext: `RoomState` (`room.ts`). */
  roomState: 0xf101,
  /** KeyPackage: the `ClientQueueConfig` of whoever is added (design §5). */
  queueConfig: 0xf102,
} as const;

/** The contents of an extension; `undefined` where it is absent. */
export function extensionOf(
  extensions: readonly Extension[],
  type: number,
): Uint8Array | undefined {
  return extensions.find(({ extensionType }) => extensionTypeToNumber(extensionType) === type)
    ?.extensionData;
}

export function typeOf(extension: Extension): number {
  return extensionTypeToNumber(extension.extensionType);
}

/** An extension type that appears twice, if any does (RFC 9420 §13.4 allows each once). */
export function repeatedType(extensions: readonly Extension[]): number | undefined {
  const seen = new Set<number>();
  for (const extension of extensions) {
    const type = typeOf(extension);
    if (seen.has(type)) return type;
    seen.add(type);
  }
  return undefined;
}
