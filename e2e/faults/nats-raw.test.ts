import { expect, test } from '@jest/globals';
import { Publications } from './nats-raw.ts';

const SAID =
  'CONNECT {"user":"ds"}\r\nPING\r\nPUB a.fanout.1 inbox.7 5\r\nhello\r\n' +
  'SUB inbox.* 1\r\nHPUB a.fanout.2 inbox.8 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPUB b 0\r\n\r\n';

test('what is published is found among all that a client says, however it is cut', () => {
  for (const size of [1, 3, 7, SAID.length]) {
    const publications = new Publications();
    const found: string[] = [];
    for (let at = 0; at < SAID.length; at += size) {
      for (const { subject, payload } of publications.take(
        Buffer.from(SAID.slice(at, at + size)),
      )) {
        found.push(`${subject} ${payload.toString()}`);
      }
    }
    expect(found).toEqual(['a.fanout.1 hello', 'a.fanout.2 hi', 'b ']);
  }
});
