import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { GroupId, uuidOf, writeScoped } from '@roost/core/ids';
import { encode } from '@roost/core/tls';

import { A } from './homes.fixture.ts';
import { decodeCall, decodeEvents, encodeCall, encodeEvents } from './payload.ts';

const groupId = GroupId.of(uuidOf(new Uint8Array(16).fill(7)), A);
const pair = (n: bigint) => ({ incarnation: 1, n });
const event = { kind: 'event', number: pair(2n), prev: pair(1n), fanOut: utf8('fan-out') } as const;
const gap = { kind: 'gap', number: pair(9n), prev: pair(2n), fanOut: new Uint8Array(0) } as const;
const malformed = expect.objectContaining({ reason: 'MALFORMED' });

test('a call and events come out as they went in', () => {
  const call = { request: utf8('request'), proof: utf8('proof') };
  expect(decodeCall(encodeCall(call))).toEqual(call);
  const events = [event, gap, { ...gap, kind: 'head' as const }];
  expect(decodeEvents(encodeEvents({ groupId, events }))).toEqual({ groupId, events });
});

test.each([
  ['none', []],
  ['an event without anything to fan out', [{ ...event, fanOut: new Uint8Array(0) }]],
  ['a gap with something', [{ ...gap, fanOut: utf8('x') }]],
  ['a number that no table can keep', [{ ...event, number: pair(2n ** 63n) }]],
  ['a number before it that none can', [{ ...event, prev: pair(2n ** 64n - 1n) }]],
  ['more than 64', Array.from({ length: 65 }, () => event)],
])('of events, %s is refused', (_, events) => {
  expect(() => decodeEvents(encodeEvents({ groupId, events }))).toThrow(malformed);
});

test('a kind that is unknown, a tail, and a proof that is too long are refused', () => {
  const unknown = encode((w) => {
    writeScoped(w.u16(1), groupId);
    w.vector([4], (each, kind) => each.u8(kind));
  });
  expect(() => decodeEvents(unknown)).toThrow(malformed);
  const call = encodeCall({ request: utf8('x'), proof: new Uint8Array(1_024) });
  expect(decodeCall(call).proof).toHaveLength(1_024);
  expect(() => decodeCall(encode((w) => w.fixed(call).u8(0)))).toThrow(malformed);
  const long = { request: utf8('x'), proof: new Uint8Array(1_025) };
  expect(() => decodeCall(encodeCall(long))).toThrow(malformed);
});
