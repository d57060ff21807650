import { expect, test } from '@jest/globals';
import { concat } from '@roost/core/bytes';

import { Deframer, frame, statusIn, trailerFrame, trailersOf } from './frames.ts';

test('frames come out as they went in, however the bytes are cut', () => {
  const messages = [new Uint8Array(), Uint8Array.of(1), new Uint8Array(300).fill(2)];
  const bytes = concat(...messages.map(frame), trailerFrame({ 'grpc-status': '0' }));
  for (const step of [1, 2, 5, 7, 64, bytes.length]) {
    const deframer = new Deframer(300);
    const got = [];
    for (let at = 0; at < bytes.length; at += step) {
      got.push(...deframer.push(bytes.subarray(at, at + step)));
    }
    expect(deframer.pending).toBe(0);
    expect(got.flatMap((each) => (each.kind === 'message' ? [each.bytes] : []))).toEqual(messages);
    expect(got.at(-1)).toEqual({ kind: 'trailers', trailers: new Map([['grpc-status', '0']]) });
  }
});

test('a message that is too long is refused by its length, before any of it is there', () => {
  const deframer = new Deframer(300);
  const header = frame(new Uint8Array(301)).subarray(0, 5);
  expect(() => deframer.push(header)).toThrow(expect.objectContaining({ reason: 'TOO_LARGE' }));
});

test('a compressed message is refused', () => {
  const compressed = frame(Uint8Array.of(1, 2));
  compressed[0] = 1;
  expect(() => new Deframer(300).push(compressed)).toThrow('compressed');
});

test('a status survives its trailers, whatever is in its message', () => {
  const message = 'line\r\none: 100 % "ü" 🦜';
  const status = { code: 9, message, details: Uint8Array.of(0, 255) };
  const trailers: Record<string, string> = trailersOf(status);
  expect(Object.values(trailers).join('')).toMatch(/^[ -~]*$/);
  expect(statusIn((name) => trailers[name])).toEqual(status);
  expect(statusIn(() => undefined)).toBeUndefined();
});
