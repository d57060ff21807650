import { fromHex, toHex } from './bytes.ts';
import { malformed } from './failure.ts';
import type { Reader, Writer } from './tls.ts';

/**
 * The ids of design §3. Casts to branded types live in this file alone: elsewhere, having one means
 * that it was parsed. All are immutable; text forms are lower case.
 */
declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** A lower-case A-label domain of at most 253 characters, or `localhost` in development. */
export type Domain = Branded<string, 'Domain'>;
/** 16 bytes as 32 hex digits with the usual dashes, lower case. */
export type Uuid = Branded<string, 'Uuid'>;

interface Scoped<Name extends string> {
  readonly kind: Name;
  readonly uuid: Uuid;
  readonly domain: Domain;
}

/** `uuid@domain`; allotted by the AS at registration, immutable, never reused. */
export type UserId = Scoped<'user'>;
/** `uuid@domain`; the domain is the group's hub. */
export type GroupId = Scoped<'group'>;
/** `uuid@domain`, drawn by the QS; nothing links it to a UserId. */
export type QsUserId = Scoped<'qs-user'>;
/** `uuid@domain`, drawn by the QS. */
export type QsClientId = Scoped<'qs-client'>;
/** `uuid@domain/uuid`: one device of a user. */
export interface ClientId {
  readonly kind: 'client';
  readonly user: UserId;
  readonly uuid: Uuid;
}
/** `name@domain`: what people type. Unique, changeable, no identity (design §3). */
export interface UserName {
  readonly name: string;
  readonly domain: Domain;
}

/** The wire form of a scoped id (`roost.common.v1.UserId` and its likes). */
export interface ScopedWire {
  readonly uuid: Uint8Array;
  readonly domain: string;
}

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const NAME = /^[a-z0-9][a-z0-9._-]{0,61}[a-z0-9]$/;

export const DOMAIN_BYTES_MAX = 253;
export const UUID_BYTES = 16;

/**
 * Parses a domain: at least two labels of lower-case letters, digits and dashes, no port, no
 * trailing dot, no IP address. `localhost` alone is let through: the configuration decides whether a
 * homeserver may be called so.
 */
export function parseDomain(text: string, field = 'domain'): Domain {
  const labels = text.split('.');
  const last = labels.at(-1) ?? '';
  const isName = text === 'localhost' || (labels.length >= 2 && !/^[0-9]+$/.test(last));
  if (text.length > DOMAIN_BYTES_MAX || !isName || !labels.every((label) => LABEL.test(label))) {
    throw malformed(field, 'is not a lower-case domain name without port and trailing dot');
  }
  return text as Domain;
}

export function parseUuid(bytes: Uint8Array, field = 'uuid'): Uuid {
  if (bytes.length !== UUID_BYTES) throw malformed(field, `is not ${UUID_BYTES} bytes long`);
  const hex = toHex(bytes);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `${parts.join('-')}-${hex.slice(20)}` as Uuid;
}

export function uuidBytes(uuid: Uuid): Uint8Array<ArrayBuffer> {
  return fromHex(uuid.replaceAll('-', '')) as Uint8Array<ArrayBuffer>;
}

/** Makes a version 4 UUID of 16 random bytes. */
export function uuidOf(random: Uint8Array): Uuid {
  const bytes = Uint8Array.from(random);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return parseUuid(bytes);
}

function scopedParser<Name extends Scoped<string>['kind']>(kind: Name) {
  return {
    of: (uuid: Uuid, domain: Domain): Scoped<Name> => ({ kind, uuid, domain }),
    /** From the wire; an absent message is refused. */
    parse: (wire: ScopedWire | undefined, field: string): Scoped<Name> => {
      if (wire === undefined) throw malformed(field, 'is missing');
      const uuid = parseUuid(wire.uuid, `${field}.uuid`);
      return { kind, uuid, domain: parseDomain(wire.domain, `${field}.domain`) };
    },
    /** From `uuid@domain`. */
    fromText: (text: string, field: string): Scoped<Name> => {
      const [uuid = '', domain, ...rest] = text.split('@');
      if (!UUID.test(uuid) || domain === undefined || rest.length > 0) {
        throw malformed(field, 'is not of the form uuid@domain');
      }
      return { kind, uuid: uuid as Uuid, domain: parseDomain(domain, field) };
    },
    read: (reader: Reader): Scoped<Name> => {
      const uuid = parseUuid(reader.fixed(UUID_BYTES));
      return { kind, uuid, domain: parseDomain(reader.text(DOMAIN_BYTES_MAX)) };
    },
  };
}

export const UserId = scopedParser('user');
export const GroupId = scopedParser('group');
export const QsUserId = scopedParser('qs-user');
export const QsClientId = scopedParser('qs-client');

export const ClientId = {
  of: (user: UserId, uuid: Uuid): ClientId => ({ kind: 'client', user, uuid }),
  parse: (
    wire: { readonly user?: ScopedWire | undefined; readonly uuid: Uint8Array } | undefined,
    field: string,
  ): ClientId => {
    if (wire === undefined) throw malformed(field, 'is missing');
    const user = UserId.parse(wire.user, `${field}.user`);
    return { kind: 'client', user, uuid: parseUuid(wire.uuid, `${field}.uuid`) };
  },
  /** From `uuid@domain/uuid`. */
  fromText: (text: string, field: string): ClientId => {
    const [user = '', uuid = '', ...rest] = text.split('/');
    if (!UUID.test(uuid) || rest.length > 0) {
      throw malformed(field, 'is not of the form uuid@domain/uuid');
    }
    return { kind: 'client', user: UserId.fromText(user, field), uuid: uuid as Uuid };
  },
  read: (reader: Reader): ClientId => {
    const user = UserId.read(reader);
    return { kind: 'client', user, uuid: parseUuid(reader.fixed(UUID_BYTES)) };
  },
};

/** The wire form of a scoped id. */
export function scopedWire(id: Scoped<string>): { uuid: Uint8Array; domain: string } {
  return { uuid: uuidBytes(id.uuid), domain: id.domain };
}

export function clientWire(id: ClientId) {
  return { user: scopedWire(id.user), uuid: uuidBytes(id.uuid) };
}

export function writeScoped(writer: Writer, id: Scoped<string>): void {
  writer.fixed(uuidBytes(id.uuid)).text(id.domain);
}

export function writeClientId(writer: Writer, id: ClientId): void {
  writeScoped(writer, id.user);
  writer.fixed(uuidBytes(id.uuid));
}

/** The text form, by which ids are compared and keyed. */
export function printId(id: Scoped<string> | ClientId): string {
  return 'user' in id ? `${printId(id.user)}/${id.uuid}` : `${id.uuid}@${id.domain}`;
}

/**
 * Parses what people type: `name` or `name@domain`, upper case folded; 2 to 63 of
 * `a-z 0-9 . _ -`, the first and last a letter or digit.
 */
export function parseUserName(text: string, home: Domain, field = 'user_name'): UserName {
  const [name = '', domain, ...rest] = text
    .trim()
    .replace(/[A-Z]/g, (c) => c.toLowerCase())
    .split('@');
  if (!NAME.test(name) || rest.length > 0) {
    throw malformed(
      field,
      'is not 2 to 63 of a-z 0-9 . _ -, beginning and ending with a letter or digit',
    );
  }
  return { name, domain: domain === undefined ? home : parseDomain(domain, field) };
}

export function printUserName({ name, domain }: UserName): string {
  return `${name}@${domain}`;
}
