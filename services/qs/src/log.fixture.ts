import type { Fields, Log } from '@roost/service/log';

/** Keeps what is logged. */
export function memoryLog(logged: object[]): Log {
  const write = (fields: Fields, text: string): void => void logged.push({ ...fields, text });
  const log: Log = { debug: write, info: write, warn: write, error: write, named: () => log };
  return log;
}
