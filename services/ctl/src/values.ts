import { Failure } from '@roost/core/failure';
import { type Domain, parseDomain, scopedWire, UserId } from '@roost/core/ids';
import type { UserChoice } from '@roost/proto/roost/authentication/v1/authentication';
import { homeDomain } from '@roost/service/config';
import { Misused } from '@roost/service/run';

/** A whole number of an option; says which ones make sense. */
export function wholeNumber(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    throw new Misused(
      `${option} "${text}" makes no sense: give a whole number from ${min} to ${max}`,
    );
  };
}

/** A home domain of our own. */
export function ownDomain(text: string | undefined): Domain {
  const parsed = homeDomain.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Misused(`--domain: give ${parsed.error.issues[0]?.message}`);
}

/** Another homeserver's domain. */
export function peerDomain(text: string): Domain {
  return orMisused(`"${text}" is no domain of a homeserver, such as b.example`, () =>
    parseDomain(text.toLowerCase()),
  );
}

/** `name`, `name@domain` or `uuid@domain`. */
export function userChoice(text: string): UserChoice {
  if (!ID.test(text)) return { userName: text, userId: undefined };
  const id = orMisused(`"${text}" is no id of a user, such as uuid@a.example`, () =>
    UserId.fromText(text, 'user'),
  );
  return { userName: '', userId: scopedWire(id) };
}

/** The id of a federation key, as `keys list` prints it. */
export function keyId(text: string): Uint8Array {
  if (/^[0-9a-f]{16}$/i.test(text)) return new Uint8Array(Buffer.from(text, 'hex'));
  throw new Misused(`"${text}" is no id of a key: give the 16 hex digits of "keys list"`);
}

function orMisused<T>(sentence: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Failure) throw new Misused(sentence, { cause: error });
    throw error;
  }
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@/i;
