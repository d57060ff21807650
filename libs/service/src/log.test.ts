import { expect, test } from '@jest/globals';
import { createLog } from './log.ts';

const USER = '2f5a7f2e-8c38-4e70-a6b8-6a2cb5b9d3a4@example.org';

function written(write: (log: ReturnType<typeof createLog>) => void, readable = false): string {
  const lines: string[] = [];
  write(createLog('as', 'info', { readable, destination: { write: (line) => lines.push(line) } }));
  return lines.join('');
}

test('a line is JSON with its service, text and the fields that may be logged', () => {
  const line = written((log) => log.info({ method: '/a/b', durationMs: 3, bytes: 5n }, 'served'));
  expect(JSON.parse(line)).toMatchObject({
    level: 'info',
    service: 'as',
    method: '/a/b',
    durationMs: 3,
    bytes: '5',
    msg: 'served',
  });
});

test('a field that is not on the list is dropped', () => {
  const fields: object = { userId: USER, count: 1 };
  const line = written((log) => log.info(fields, 'served'));
  expect(JSON.parse(line)).toMatchObject({ count: 1 });
  expect(line).not.toContain('userId');
});

test('an id is not readable in a text, a field, an error or its cause', () => {
  const cause = new Error(`key ${'ab'.repeat(16)}`);
  const error = Object.assign(new Error(`user ${USER} fell`, { cause }), { detail: USER });
  for (const readable of [true, false]) {
    const line = written((log) => log.error({ error, method: USER }, `sorry ${USER}`), readable);
    expect(line).toContain('fell');
    expect(line).toContain('caused by');
    expect(line).not.toMatch(/2f5a7f2e|abababab|example\.org/);
  }
});

test('a readable line is one line, and its level is said when it is not info', () => {
  expect(written((log) => log.info({ count: 2 }, 'done'), true)).toMatch(
    /^\d\d:\d\d:\d\d as: done count=2\n$/,
  );
  expect(written((log) => log.warn({}, 'hm'), true)).toMatch(/as: warn: hm\n$/);
});

test('what is below the level is not written', () => {
  expect(written((log) => log.debug({}, 'noise'))).toBe('');
});
