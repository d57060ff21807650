import { concat } from '@roost/core/bytes';
import { encode } from '@roost/core/tls';

/**
 * Messages of 2 MiB that are made to be slow to read: lists of as many entries as there is room
 * for, and of as many as `shape.ts` admits. Nobody signed them; a server parses before it verifies.
 */
export function hostileMessages(): ReadonlyMap<string, Uint8Array> {
  const many: [string, Uint8Array][] = [
    ['empty references', commit(repeated([2, 0], ROOM))],
    ['removes', commit(repeated([1, 0, 3, 0, 0, 0, 1], ROOM))],
    ['psks', commit(repeated([1, 0, 4, 1, 0, 0], ROOM))],
    ['extensions', commit(concat(CONTEXT, opaque(repeated([0xf1, 1, 0], ROOM))))],
    ['path nodes', commit(NOTHING, path(leaf(), repeated([0, 0], ROOM)))],
    ['ciphertexts', commit(NOTHING, path(leaf(), node(repeated([0, 0], ROOM))))],
    ['capabilities', commit(NOTHING, path(leaf({ capabilities: ROOM }), NOTHING))],
    ['certificates', commit(NOTHING, path(leaf({ certificates: ROOM }), NOTHING))],
  ];
  const admitted: [string, Uint8Array][] = [
    ['25,000 ciphertexts', commit(NOTHING, path(leaf(), node(times(25_000, ciphertext(48)))))],
    ['25,000 extensions', commit(concat(CONTEXT, opaque(times(25_000, extension(78)))))],
    ['1,280 psks', commit(times(1_280, psk(1_600)))],
    ['1,280 adds', commit(times(1_280, add(18)))],
    ['authenticated data', commit(NOTHING, Uint8Array.of(0), new Uint8Array(ROOM))],
  ];
  return new Map([...many, ...admitted]);
}

/** What is left of 2 MiB beside the frame. */
const ROOM = 2 * 1024 * 1024 - 2_000;
const NOTHING = new Uint8Array(0);
/** ProposalOrRef: by value, a GroupContextExtensions. */
const CONTEXT = Uint8Array.of(1, 0, 7);

function commit(
  proposals: Uint8Array,
  pathTls: Uint8Array = Uint8Array.of(0),
  authenticatedData: Uint8Array = NOTHING,
): Uint8Array {
  return encode((writer) => {
    writer.u16(1).u16(1).text('group').u64(1n);
    writer.u8(1).u32(0).opaque(authenticatedData);
    writer.u8(3).opaque(proposals).fixed(pathTls);
    writer.opaque(new Uint8Array(64)).opaque(new Uint8Array(32)).opaque(new Uint8Array(32));
  });
}

function path(leafTls: Uint8Array, nodes: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(1), leafTls, opaque(nodes));
}

function node(ciphertexts: Uint8Array): Uint8Array {
  return concat(opaque(new Uint8Array(32)), opaque(ciphertexts));
}

interface LeafSizes {
  readonly capabilities?: number;
  readonly certificates?: number;
  readonly source?: 1 | 3;
}

function leaf({ capabilities = 0, certificates, source = 3 }: LeafSizes = {}): Uint8Array {
  return encode((writer) => {
    writer.opaque(new Uint8Array(32)).opaque(new Uint8Array(32));
    if (certificates === undefined) writer.u16(1).opaque(new Uint8Array(4));
    else writer.u16(2).opaque(new Uint8Array(certificates));
    writer.opaque(NOTHING).opaque(NOTHING);
    writer
      .opaque(repeated([0xf1, 1], capabilities))
      .opaque(NOTHING)
      .opaque(NOTHING);
    writer.u8(source);
    if (source === 3) writer.opaque(NOTHING);
    else writer.u64(0n).u64(0n);
    writer.opaque(NOTHING).opaque(new Uint8Array(64));
  });
}

function add(capabilities: number): Uint8Array {
  return encode((writer) => {
    writer.u8(1).u16(1).u16(1).u16(1).opaque(new Uint8Array(32));
    writer.fixed(leaf({ capabilities: capabilities * 2, source: 1 }));
    writer.opaque(NOTHING).opaque(new Uint8Array(64));
  });
}

function psk(idBytes: number): Uint8Array {
  return encode((writer) => {
    writer.u8(1).u16(4).u8(1).opaque(new Uint8Array(idBytes)).opaque(new Uint8Array(32));
  });
}

function ciphertext(bytes: number): Uint8Array {
  return concat(opaque(new Uint8Array(32)), opaque(new Uint8Array(bytes)));
}

function extension(bytes: number): Uint8Array {
  return encode((writer) => writer.u16(0xf101).opaque(new Uint8Array(bytes)));
}

function opaque(bytes: Uint8Array): Uint8Array {
  return encode((writer) => writer.opaque(bytes));
}

function times(count: number, bytes: Uint8Array): Uint8Array {
  return repeated([...bytes], count * bytes.length);
}

/** The entry as often as it fits. */
function repeated(entry: readonly number[], room: number): Uint8Array {
  const bytes = new Uint8Array(room - (room % entry.length));
  bytes.set(entry.slice(0, bytes.length));
  for (let done = entry.length; done < bytes.length; done *= 2) bytes.copyWithin(done, 0, done);
  return bytes;
}
