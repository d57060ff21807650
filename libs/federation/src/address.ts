/**
 * Which addresses other homeservers are looked for at: those of the public internet, and what the
 * operator allowed besides. A name that others chose must not lead us home, in none of the forms in which
 * IPv6 says IPv4 (standards: the special-purpose registries of IANA, RFC 6890).
 */

/** A block of addresses. */
export interface Network {
  readonly bytes: readonly number[];
  readonly bits: number;
}

const CLOSED_V4 = networks(
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16'],
  ...['172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16'],
  ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/3'],
);
/** Of IPv6 what is given out, without what stands for tunnels, documentation and experiments. */
const OPEN_V6 = networks('2000::/3');
const CLOSED_V6 = networks('2001::/23', '2001:db8::/32', '2002::/16', '3ffe::/16', '3fff::/20');
/** They stand for an IPv4 address, which is then judged: IPv4-mapped, and NAT64 (RFC 6052). */
const STANDING_FOR_V4 = networks('::ffff:0.0.0.0/96', '64:ff9b::/96');

/** Whether an address may be connected to. Whatever is not an address may not. */
export function isAllowedAddress(address: string, allowed: readonly Network[] = []): boolean {
  const written = parseAddress(address);
  if (written === undefined) return false;
  const bytes = judged(written);
  if (allowed.some((network) => contains(network, bytes))) return true;
  if (bytes.length === 4) return !CLOSED_V4.some((network) => contains(network, bytes));
  const isOpen = OPEN_V6.some((network) => contains(network, bytes));
  return isOpen && !CLOSED_V6.some((network) => contains(network, bytes));
}

/** `10.0.0.0/8`, `fd00::/8`; `undefined` where it is none, or names a host inside of a block. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', digits = '', ...rest] = text.split('/');
  const bytes = parseAddress(address);
  const bits = /^(0|[1-9][0-9]{0,2})$/.test(digits) ? Number(digits) : Infinity;
  if (bytes === undefined || rest.length > 0 || bits > bytes.length * 8) return undefined;
  const network = { bytes, bits };
  const isStart = bytes.every((byte, at) => (byte & ~maskOf(bits, at) & 0xff) === 0);
  return isStart ? network : undefined;
}

/** The bytes of an address: four or sixteen. No zones, no leading zeros, no short forms of IPv4. */
export function parseAddress(text: string): readonly number[] | undefined {
  return text.includes(':') ? parseV6(text) : parseV4(text);
}

function networks(...texts: readonly string[]): Network[] {
  return texts.flatMap((text) => parseNetwork(text) ?? []);
}

function judged(bytes: readonly number[]): readonly number[] {
  const isStanding = STANDING_FOR_V4.some((network) => contains(network, bytes));
  return isStanding ? bytes.slice(12) : bytes;
}

function contains(network: Network, bytes: readonly number[]): boolean {
  if (network.bytes.length !== bytes.length) return false;
  return network.bytes.every((byte, at) => {
    return ((byte ^ (bytes[at] ?? 0)) & maskOf(network.bits, at)) === 0;
  });
}

function maskOf(bits: number, at: number): number {
  const within = Math.min(8, Math.max(0, bits - at * 8));
  return (0xff << (8 - within)) & 0xff;
}

function parseV4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part))) {
    return undefined;
  }
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

function parseV6(text: string): readonly number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = [groupsOf(halves[0] ?? ''), groupsOf(halves[1] ?? '')];
  if (head === undefined || tail === undefined) return undefined;
  // An IPv4 address stands at the end alone.
  if (head.isMixed && halves.length === 2) return undefined;
  const missing = 16 - head.bytes.length - tail.bytes.length;
  const isWhole = halves.length === 2 ? missing >= 2 : missing === 0;
  if (!isWhole) return undefined;
  return [...head.bytes, ...Array.from({ length: missing }, () => 0), ...tail.bytes];
}

function groupsOf(text: string): { bytes: number[]; isMixed: boolean } | undefined {
  if (text === '') return { bytes: [], isMixed: false };
  const groups = text.split(':');
  const last = groups.at(-1) ?? '';
  const isMixed = last.includes('.');
  const v4 = isMixed ? parseV4(groups.pop() ?? '') : [];
  if (v4 === undefined || !groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group)))
    return undefined;
  const bytes = groups.flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
  return { bytes: [...bytes, ...v4], isMixed };
}
