// Changes that find mistakes of decoders: bits, lengths, and pieces in other places.
const INTERESTING = [0, 1, 2, 3, 4, 31, 32, 33, 63, 64, 127, 128, 191, 192, 254, 255];
const STACKED_MAX = 5;

/** A value from 0 below 1. */
export type Random = () => number;

/** One to five changes of an input; pieces of another come into it. */
export function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  let bytes: Uint8Array = input.slice();
  const times = 1 + Math.floor(random() * STACKED_MAX);
  for (let count = 0; count < times; count++) {
    const change = CHANGES[Math.floor(random() * CHANGES.length)] ?? flip;
    bytes = change(random, bytes, other);
  }
  return bytes;
}

type Change = (random: Random, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

const below = (random: Random, limit: number): number => Math.floor(random() * limit);

const flip: Change = (random, bytes) => {
  const at = below(random, bytes.length);
  if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(random, 8));
  return bytes;
};

const set: Change = (random, bytes) => {
  if (bytes.length === 0) return bytes;
  bytes[below(random, bytes.length)] = INTERESTING[below(random, INTERESTING.length)] ?? 0;
  return bytes;
};

/** A byte more or less: what lengths and counts are wrong by. */
const step: Change = (random, bytes) => {
  const at = below(random, bytes.length);
  if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) + (random() < 0.5 ? 1 : 255);
  return bytes;
};

/** A length of two or four bytes where there was something else. */
const stretch: Change = (random, bytes) => {
  const size = random() < 0.5 ? 2 : 4;
  if (bytes.length < size) return bytes;
  const at = below(random, bytes.length - size + 1);
  bytes[at] = (size === 2 ? 0x40 : 0x80) | below(random, 64);
  return bytes;
};

const truncate: Change = (random, bytes) => bytes.slice(0, below(random, bytes.length + 1));

const remove: Change = (random, bytes) => {
  const from = below(random, bytes.length);
  const size = 1 + below(random, Math.min(64, bytes.length));
  return join(bytes.subarray(0, from), bytes.subarray(from + size));
};

const insert: Change = (random, bytes) => {
  const at = below(random, bytes.length + 1);
  const size = 1 + below(random, 8);
  const more = Uint8Array.from({ length: size }, () => below(random, 256));
  return join(bytes.subarray(0, at), more, bytes.subarray(at));
};

/** A piece once more, beside itself. */
const repeat: Change = (random, bytes) => {
  const from = below(random, bytes.length);
  const to = from + 1 + below(random, Math.min(256, bytes.length));
  return join(bytes.subarray(0, to), bytes.subarray(from));
};

const splice: Change = (random, bytes, other) => {
  const from = below(random, other.length);
  const piece = other.subarray(from, from + 1 + below(random, 256));
  const at = below(random, bytes.length + 1);
  const after = random() < 0.5 ? at : at + piece.length;
  return join(bytes.subarray(0, at), piece, bytes.subarray(after));
};

const CHANGES = [
  flip,
  flip,
  set,
  set,
  step,
  step,
  stretch,
  truncate,
  remove,
  insert,
  repeat,
  splice,
  splice,
];

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
