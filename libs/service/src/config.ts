import { readFileSync } from 'node:fs';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { Failure } from '@roost/core/failure';
import { parseDomain } from '@roost/core/ids';
import { z } from 'zod';
import { LEVELS } from './log.ts';

/** The environment, or a part of it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the variables that a schema of `variable`s names; an empty one counts as not set, and `NAME_FILE` names a
 * file that holds it. All that is wrong is told at once, a sentence each: the variable and the remedy, but not
 * the value, which may be secret.
 */
export function readEnvironment<Shape extends z.ZodObject>(
  schema: Shape,
  environment: Environment,
): z.output<Shape> {
  const sentences: string[] = [];
  const given: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const file = environment[`${name}_FILE`];
    try {
      const value = environment[name] || (file ? readFileSync(file, 'utf8').trim() : undefined);
      if (value) given[name] = value;
    } catch (error) {
      sentences.push(
        `${name}_FILE: ${file} cannot be read (${errorCode(error) ?? String(error)}).`,
      );
    }
  }
  const unread = new Set(sentences.map((sentence) => sentence.split('_FILE:')[0]));
  const parsed = schema.safeParse(given);
  if (parsed.success && sentences.length === 0) return parsed.data;
  for (const { path: at, message } of parsed.error?.issues ?? []) {
    const name = String(at[0]);
    if (unread.has(name)) continue;
    sentences.push(
      `${name} is ${given[name] === undefined ? 'not set' : 'wrong'}: give ${message}.`,
    );
  }
  throw new CannotStart(sentences.join('\n'));
}

/** A variable that `parse` understands; `remedy` says what to give: "host:port, such as …". */
export function variable<T>(remedy: string, parse: (text: string) => T | undefined) {
  return z.string({ error: remedy }).transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: remedy });
    return z.NEVER;
  });
}

/** A whole number between two bounds. */
export function integer(min: number, max: number) {
  return variable(`a whole number from ${min} to ${max}`, (text) => {
    const value = Number(text);
    return /^\d{1,15}$/.test(text) && value >= min && value <= max ? value : undefined;
  });
}

/** The path of a file or folder. */
export const path = variable('a path', (text) => text);

/** Several, with commas between. */
export function list(remedy: string, isOne: (text: string) => boolean) {
  return variable(remedy, (text) => {
    const all = text.split(',').map((each) => each.trim());
    return all.every(isOne) ? all : undefined;
  });
}

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]) {
  return variable(`one of ${words.join(', ')}`, (text) => words.find((word) => word === text));
}

export const level = oneOf(...LEVELS);

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, an IPv6 host in brackets. */
export const listenAddress = variable(
  'host:port, such as 127.0.0.1:7680 or [::1]:7680',
  parseListenAddress,
);

export function parseListenAddress(text: string): ListenAddress | undefined {
  const found = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/i.exec(text);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** The domain of a homeserver. */
export const homeDomain = variable('a domain name without a port, such as example.org', (text) => {
  try {
    return parseDomain(text, 'domain');
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
});
