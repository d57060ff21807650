import { decodeAll, encode } from '@roost/core/tls';
import { treeBytes } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import type { Roster } from './domain/roster.ts';
import { linkOf } from './leaves.ts';

/** What a joiner needs of the epoch that added it. */
export interface JoinInfo {
  readonly tree: Uint8Array;
  readonly links: readonly { readonly leafIndex: number; readonly addedLeaf: Uint8Array }[];
}

export function joinInfoOf(group: PublicGroup, roster: Roster): JoinInfo {
  return { tree: treeBytes(group), links: roster.members.map(linkOf) };
}

export function encodeJoinInfo({ tree, links }: JoinInfo): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writer.u16(VERSION).opaque(tree);
    writer.vector(links, (each, { leafIndex, addedLeaf }) => each.u32(leafIndex).opaque(addedLeaf));
  });
}

export function decodeJoinInfo(bytes: Uint8Array): JoinInfo {
  return decodeAll(bytes, 'join info', (reader) => {
    reader.version(VERSION);
    const tree = reader.opaque(bytes.length);
    const links = reader.vector(LINKS_MAX, (each) => ({
      leafIndex: each.u32(),
      addedLeaf: each.opaque(LINK_BYTES_MAX),
    }));
    return { tree, links };
  });
}

const VERSION = 1;
const LINKS_MAX = 100_000;
const LINK_BYTES_MAX = 1024;
