import type { ListenAddress } from '@roost/service/config';

/** What JSON holds; a field that is `undefined` is left out. */
export type Json =
  | string
  | number
  | boolean
  | undefined
  | readonly Json[]
  | { readonly [name: string]: Json };

/** A message of Envoy's inside an Any, by the name of its type. */
export function typed(type: string, fields: { readonly [name: string]: Json } = {}) {
  return { '@type': `type.googleapis.com/${type}`, ...fields };
}

/** An extension of Envoy's: its name, and its configuration of a type. */
export function extension(name: string, type: string, fields?: { readonly [name: string]: Json }) {
  return { name, typed_config: typed(type, fields) };
}

export function socketAddress({ host, port }: ListenAddress) {
  return { socket_address: { address: host, port_value: port } };
}

/** A duration as proto JSON writes it. */
export function seconds(ms: number): string {
  return `${ms / 1_000}s`;
}
