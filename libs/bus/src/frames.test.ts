import { expect, test } from '@jest/globals';
import { toHex } from '@roost/core/bytes';
import { GroupId, parseDomain, parseUuid } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import fc from 'fast-check';
import {
  comparePairs,
  decodeBusAnswer,
  decodeBusBatch,
  decodeRemoteBatch,
  encodeBusAnswer,
  encodeBusBatch,
  encodeRemoteBatch,
  openFanOut,
  partitionOf,
  sealFanOut,
  traceOfFanOut,
  type BusEvent,
} from './frames.ts';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const domain = fc.constantFrom('a.example', 'b.example', 'localhost').map((d) => parseDomain(d));
const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => parseUuid(b));
const groupId = fc.tuple(uuid, domain).map(([u, d]) => GroupId.of(u, d));
const pair = fc.record({
  incarnation: fc.nat(),
  n: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
});
const event: fc.Arbitrary<BusEvent> = fc.record({
  kind: fc.constantFrom('event', 'gap', 'head'),
  groupId,
  number: pair,
  prev: pair,
  sealed: fc.uint8Array(),
});
const batch = fc.record({ source: domain, events: fc.array(event) });
const fanOut = fc.record({
  recipients: fc.array(fc.record({ handle: bytes32, pushKey: bytes32, extra: fc.uint8Array() })),
  groupEvent: fc.uint8Array(),
});
const tracedFanOut = fc
  .tuple(fanOut, fc.uint8Array({ minLength: 24, maxLength: 24 }))
  .map(([parts, trace]) => ({ ...parts, trace }));
const answer = fc.record({
  marks: fc.array(fc.record({ groupId, mark: pair })),
  gone: fc.array(fc.record({ groupId, handle: bytes32 })),
});

test('a batch and its answer come back as they were', () => {
  fc.assert(fc.property(batch, (b) => expect(decodeBusBatch(encodeBusBatch(b))).toEqual(b)));
  fc.assert(fc.property(answer, (a) => expect(decodeBusAnswer(encodeBusAnswer(a))).toEqual(a)));
});

test('a batch for another homeserver says for which, and neither receiver reads what is for the other one', () => {
  const remote = fc.tuple(batch, domain).map(([b, destination]) => ({ ...b, destination }));
  fc.assert(
    fc.property(remote, (b) => {
      const encoded = encodeRemoteBatch(b);
      expect(decodeRemoteBatch(encoded)).toEqual(b);
      expect(() => decodeBusBatch(encoded)).toThrow('version');
      expect(() => decodeRemoteBatch(encodeBusBatch(b))).toThrow('version');
    }),
  );
});

test('a batch that is cut off, prolonged or altered decodes to another batch or is MALFORMED', () => {
  const altered = fc.tuple(batch, fc.nat(), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(altered, ([b, at, flip]) => {
      const encoded = encodeBusBatch(b);
      const place = at % encoded.length;
      const other = Uint8Array.from(encoded);
      other[place] = (other[place] ?? 0) ^ flip;
      for (const hostile of [encoded.subarray(0, place), Uint8Array.of(...encoded, 0), other]) {
        try {
          expect(encodeBusBatch(decodeBusBatch(hostile))).toEqual(hostile);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'MALFORMED' });
        }
      }
    }),
  );
});

test('a vector that announces a gigabyte is refused before anything is allotted', () => {
  const header = encodeBusBatch({ source: parseDomain('a.example'), events: [] }).slice(0, -1);
  const hostile = Uint8Array.of(...header, 0xbf, 0xff, 0xff, 0xff);
  expect(() => decodeBusBatch(hostile)).toThrow('a field is longer than 4 bytes');
});

test('a fan-out opens under its key and at its place alone', () => {
  const key = new Uint8Array(32).fill(1);
  fc.assert(
    fc.property(fanOut, event, event, (parts, place, other) => {
      const sealed = sealFanOut(nodeCrypto, key, place, parts);
      expect(openFanOut(nodeCrypto, key, { ...place, sealed })).toEqual(parts);
      expect(openFanOut(nodeCrypto, new Uint8Array(32), { ...place, sealed })).toBeUndefined();
      const elsewhere = { groupId: place.groupId, number: other.number, prev: place.prev, sealed };
      if (comparePairs(other.number, place.number) === 0) return;
      expect(openFanOut(nodeCrypto, key, elsewhere)).toBeUndefined();
    }),
  );
});

test('a fan-out keeps its trace, which is inside of the seal, and one without is as it always was', () => {
  const key = new Uint8Array(32).fill(1);
  const where = {
    groupId: GroupId.fromText('00112233-4455-4677-8899-aabbccddeeff@a.example', 'g'),
  };
  const place = { ...where, number: { incarnation: 1, n: 2n }, prev: { incarnation: 1, n: 1n } };
  fc.assert(
    fc.property(tracedFanOut, ({ trace, ...parts }) => {
      const traced = sealFanOut(nodeCrypto, key, place, { ...parts, trace });
      expect(openFanOut(nodeCrypto, key, { ...place, sealed: traced })).toEqual({
        ...parts,
        trace,
      });
      expect(traceOfFanOut(nodeCrypto, key, { ...place, sealed: traced })).toEqual(trace);
      expect(toHex(traced)).not.toContain(toHex(trace));
      const plain = sealFanOut(nodeCrypto, key, place, parts);
      expect(traced.length - plain.length).toBe(24);
      expect(traceOfFanOut(nodeCrypto, key, { ...place, sealed: plain })).toBeUndefined();
    }),
  );
});

test('pairs are ordered by the incarnation first', () => {
  const old = { incarnation: 1, n: 9n };
  expect(comparePairs(old, { incarnation: 2, n: 1n })).toBeLessThan(0);
  expect(comparePairs(old, { incarnation: 1, n: 2n ** 63n })).toBeLessThan(0);
  expect(comparePairs(old, { ...old })).toBe(0);
});

test('a group stays in its partition', () => {
  const group = GroupId.fromText('00112233-4455-4677-8899-aabbccddeeff@a.example', 'group');
  expect(partitionOf(nodeCrypto, group)).toBe(partitionOf(nodeCrypto, { ...group }));
  expect(partitionOf(nodeCrypto, group)).toBeLessThan(16);
});
