import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Address blocks that are not of the public internet (the special-purpose registries of IANA). */
const BLOCKS = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16'],
  ...['172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16'],
  ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/3'],
];
/** Of IPv6 only what is given out, without what stands for IPv4 addresses or tunnels. */
const GIVEN_OUT = '2000::/3';
const BLOCKS_V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const listed = (family: 'ipv4' | 'ipv6', blocks: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const block of blocks) {
    const [net = '', prefix] = block.split('/');
    list.addSubnet(net, Number(prefix), family);
  }
  return list;
};
const closed = listed('ipv4', BLOCKS);
const closedV6 = listed('ipv6', BLOCKS_V6);
const open = listed('ipv6', [GIVEN_OUT]);

/** Whether an address is one of the public internet: what others name must not lead us home. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !closed.check(address, 'ipv4');
  if (!isIPv6(address) || address.includes('%')) return false;
  return open.check(address, 'ipv6') && !closedV6.check(address, 'ipv6');
}
