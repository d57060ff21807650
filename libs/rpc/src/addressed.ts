import { type Domain, GroupId, parseDomain, parseUserName, type ScopedWire } from '@roost/core/ids';
import type { Rule } from '@roost/proto/roost/access/v1/access';

/** What calls in the name of another homeserver, once that has proved who it is and was counted. */
export const GATEWAY = 'federation-gateway';

/**
 * The homeserver that a request is for, by the field that its rule names: an id, a `name@domain` or a
 * domain. What names none is for us; the handler then says what is wrong with it, if anything.
 */
export function destinationOf({ destination }: Rule, request: unknown, home: Domain): Domain {
  if (destination === '') return home;
  const value = fieldOf(request, camelCase(destination));
  if (typeof value === 'object' && value !== null) {
    const domain = fieldOf(value, 'domain');
    return typeof domain === 'string' ? parseDomain(domain, `${destination}.domain`) : home;
  }
  if (typeof value !== 'string' || value === '') return home;
  if (destination.endsWith('domain')) return parseDomain(value, destination);
  // As the handler will read it: what is folded there is folded here.
  return parseUserName(value, home, destination).domain;
}

/** The group whose hub a request is for; `undefined` where its rule names none. Throws `MALFORMED`. */
export function groupOf({ destination }: Rule, request: unknown): GroupId | undefined {
  if (destination !== 'group_id') return undefined;
  return GroupId.parse(scopedIn(fieldOf(request, 'groupId')), destination);
}

function scopedIn(value: unknown): ScopedWire | undefined {
  const [uuid, domain] = [fieldOf(value, 'uuid'), fieldOf(value, 'domain')];
  // Under Jest bytes come from another realm than ours.
  const isWhole = ArrayBuffer.isView(uuid) && typeof domain === 'string';
  return isWhole ? { uuid: uuid as Uint8Array, domain } : undefined;
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function fieldOf(message: unknown, name: string): unknown {
  return typeof message === 'object' && message !== null ? Reflect.get(message, name) : undefined;
}
