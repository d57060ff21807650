import { inspect } from 'node:util';
import { isNativeError } from 'node:util/types';
import { trace } from '@opentelemetry/api';
import { type DestinationStream, pino } from 'pino';

export const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type Level = (typeof LEVELS)[number];

/**
 * All that may be logged beside the text. Whatever else is given is dropped: no user, client, queue
 * or group, and nobody's address, gets into a log by mistake.
 */
const LOGGABLE = [
  'attempt',
  'batch',
  'bytes',
  'code',
  'count',
  'depth',
  'durationMs',
  'folder',
  'listen',
  'method',
  'partition',
  'peer',
  'reason',
  'retryAfterMs',
  'rows',
  'signal',
  'tokenClass',
  'version',
] as const;

export type Fields = {
  readonly [field in (typeof LOGGABLE)[number]]?: string | number | bigint | boolean | undefined;
} & { readonly error?: unknown };

type Write = (fields: Fields, text: string) => void;

export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
  /** The same log under another name. */
  readonly named: (name: string) => Log;
}

export interface LogOptions {
  /** One readable line instead of one of JSON. */
  readonly readable?: boolean;
  readonly destination?: DestinationStream;
}

/** A log on standard output. */
export function createLog(
  name: string,
  level: Level,
  { readable = process.stdout.isTTY, destination = process.stdout }: LogOptions = {},
): Log {
  const output = readable
    ? { write: (line: string) => destination.write(readableLine(line)) }
    : destination;
  const sink = pino(
    { base: null, level, formatters: { level: (label) => ({ level: label }) } },
    output,
  );
  const writer =
    (service: string, at: Exclude<Level, 'silent'>): Write =>
    (fields, text) =>
      sink[at]({ service, ...loggable(fields), ...traceFields() }, scrub(text));
  const named = (service: string): Log => ({
    debug: writer(service, 'debug'),
    info: writer(service, 'info'),
    warn: writer(service, 'warn'),
    error: writer(service, 'error'),
    named,
  });
  return named(name);
}

/** Which trace a line belongs to, and nothing where no trace is recorded. */
function traceFields(): { readonly traceId?: string; readonly spanId?: string } {
  const span = trace.getActiveSpan();
  if (span?.isRecording() !== true) return NO_TRACE;
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId };
}

const NO_TRACE = {};

function loggable(fields: Fields): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const field of LOGGABLE) {
    const value = fields[field];
    if (value === undefined) continue;
    kept[field] =
      typeof value === 'bigint' || typeof value === 'string' ? scrub(String(value)) : value;
  }
  if (fields.error !== undefined) kept['error'] = describe(fields.error);
  return kept;
}

/** The stacks of an error and its causes; fields that libraries hang on errors stay out. */
function describe(error: unknown): string {
  const texts: string[] = [];
  for (let at = error; at !== undefined && texts.length < CAUSES_MAX;) {
    texts.push(scrub(isNativeError(at) ? (at.stack ?? at.message) : inspect(at)));
    at = isNativeError(at) ? at.cause : undefined;
  }
  return texts.join('\ncaused by ');
}

/** The last net: an id has no business in any text, but if one is there, it is not readable. */
function scrub(text: string): string {
  return text.replaceAll(ID_LIKE, '<id>');
}

const ID_LIKE = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(@[a-z0-9.-]+)?|\b[0-9a-f]{32,}\b/gi;
const CAUSES_MAX = 5;

interface Line {
  readonly time: number;
  readonly level: string;
  readonly service: string;
  readonly msg: string;
  readonly error?: string;
}

function readableLine(json: string): string {
  const { time, level, service, msg, error, ...fields } = JSON.parse(json) as Line;
  const clock = new Date(time).toTimeString().slice(0, 8);
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${String(value)}`);
  const mark = level === 'info' ? '' : `${level}: `;
  const stack = error === undefined ? '' : `\n  ${error.replaceAll('\n', '\n  ')}`;
  return `${clock} ${service}: ${mark}${msg}${rest.join('')}${stack}\n`;
}
