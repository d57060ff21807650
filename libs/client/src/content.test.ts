import { expect, test } from '@jest/globals';
import { decodeContent, encodeContent, TEXT_BYTES_MAX } from './content.ts';
import { encode } from '@roost/core/tls';
import { padTo } from '@roost/crypto/sealed';

const messageId = new Uint8Array(16).fill(7);

test('contents come out as they went in', () => {
  const text = { kind: 'text', messageId, text: 'grüße 🙂' } as const;
  const [token, key] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const friendship = { kind: 'friendship', messageId, token, key } as const;

  expect(decodeContent(encodeContent(text))).toEqual(text);
  expect(decodeContent(encodeContent(friendship))).toEqual(friendship);
  const deletion = { kind: 'delete', messageId, target: new Uint8Array(16).fill(9) } as const;
  expect(decodeContent(encodeContent(deletion))).toEqual(deletion);
  const farewell = { kind: 'farewell', messageId } as const;
  expect(decodeContent(encodeContent(farewell))).toEqual(farewell);
});

test('a length says little: texts and friendships have one of a few', () => {
  const lengths = ['', 'a', 'a'.repeat(200)].map((text) => {
    return encodeContent({ kind: 'text', messageId, text }).length;
  });
  const [token, key] = [new Uint8Array(32), new Uint8Array(32)];
  lengths.push(encodeContent({ kind: 'friendship', messageId, token, key }).length);
  expect(lengths).toEqual([256, 256, 256, 256]);
  expect(encodeContent({ kind: 'text', messageId, text: 'a'.repeat(900) })).toHaveLength(1_024);
});

test('the longest text fits below the limit of a message, and a longer one is refused', () => {
  const text = 'a'.repeat(TEXT_BYTES_MAX - 100);
  expect(encodeContent({ kind: 'text', messageId, text }).length).toBeLessThan(261_632);
  const longer = { kind: 'text', messageId, text: 'a'.repeat(TEXT_BYTES_MAX) } as const;
  expect(() => encodeContent(longer)).toThrow('a message has at most');
});

test('a kind of a later version is known to be unknown', () => {
  const later = encode((w) => w.u16(1).fixed(messageId).u8(9).text('?'));
  expect(decodeContent(padTo(later, 256))).toEqual({ kind: 'unknown', messageId });
});
