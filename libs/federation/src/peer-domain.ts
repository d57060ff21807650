import { malformed } from '@roost/core/failure';
import { type Domain, parseDomain } from '@roost/core/ids';

/** Where a gateway listens. */
export interface Endpoint {
  /** A domain name, or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** What URL parsers take for a part of an address: a name never ends so. */
const NUMBER = /^(0x[0-9a-f]*|[0-9]+)$/;
/** Names that are of this machine, whatever a resolver says (RFC 6761 §6.3). */
const LOCAL = new Set(['localhost', 'localdomain']);
const ENDPOINT = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9.-]{1,253})):([1-9][0-9]{0,4})$/;

/**
 * The domain of another homeserver, as it may be looked up: at least two labels of lower-case letters,
 * digits and dashes, A-labels where a label has the form of one, no address in any notation, no port, no
 * name of this machine.
 */
export function parsePeerDomain(text: string, field = 'domain'): Domain {
  const domain = parseDomain(text, field);
  const labels = domain.split('.');
  const last = labels.at(-1) ?? '';
  if (labels.length < 2 || LOCAL.has(last)) throw malformed(field, 'is a name of this machine');
  if (NUMBER.test(last)) throw malformed(field, 'is an address and not a name');
  if (labels.some(isReserved)) throw malformed(field, 'has a label that is no A-label');
  return domain;
}

/** `xn--` is the only prefix of its form that means anything (RFC 5890 §2.3.1). */
function isReserved(label: string): boolean {
  return label.slice(2, 4) === '--' && !/^xn--[a-z0-9-]+$/.test(label);
}

/** `host:port`, where a gateway listens; an address is judged when it is connected to. */
export function parseEndpoint(text: string, field = 'endpoint'): Endpoint {
  const found = ENDPOINT.exec(text);
  const [, v6, name, digits] = found ?? [];
  const port = Number(digits);
  if (found === null || port > 65_535) throw malformed(field, 'is not host:port');
  if (v6 !== undefined) return { host: v6, port };
  const host = name ?? '';
  if (!/^[0-9]{1,3}(\.[0-9]{1,3}){3}$/.test(host)) parsePeerDomain(host, field);
  return { host, port };
}

export function printEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
