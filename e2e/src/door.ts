import type { Server } from '@roost/client/node/open';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type Channel, type Transport, connect } from '@roost/rpc/client';
import { connectWeb } from '@roost/rpc/web';

/** Where a homeserver is reached: `host:port`, and whom to believe (PEM) where it speaks TLS. */
export interface Door {
  readonly address: string;
  readonly ca?: string | undefined;
}

/** A connection of a client's to it. */
export function connectTo({ address, ca }: Door): Channel {
  return connect(address, ca === undefined ? {} : { tls: { ca } });
}

/** The same as a browser does it. Whom `fetch` believes is a matter of the whole process. */
export function connectWebTo({ address, ca }: Door): Transport {
  if (ca === undefined) return connectWeb(`http://${address}`);
  setDefaultCACertificates([...getCACertificates('default'), ca]);
  return connectWeb(`https://${address}`);
}

/** As a client on Node is told of it. */
export function serverOf({ address, ca }: Door): Server {
  return { address, isTls: ca !== undefined, ca };
}
