import type { Domain } from '@roost/core/ids';
import { type Clock, MINUTE_MS } from '@roost/core/time';
import { type Endpoint, parseEndpoint, printEndpoint } from '@roost/federation/peer-domain';
import { type Channel, connectHomeserver, type HomeserverOptions } from '@roost/rpc/client';
import { addressesOf, type Reach } from './discovery/lookup.ts';
import type { Peer } from './peers.ts';

export interface ChannelsPorts extends Reach {
  readonly clock: Clock;
  /** Who we say that we are, before anything that is signed is read. */
  readonly home: Domain;
  /** Whom we believe, and what we show. */
  readonly trust: Pick<HomeserverOptions, 'ca' | 'certificate'>;
}

interface Open {
  readonly channel: Channel;
  readonly endpoint: string;
  readonly untilMs: number;
}

/** A name may come to stand for other addresses, which are then looked at. */
const LOOK_AGAIN_MS = 5 * MINUTE_MS;
/** Calls under way end on the channel that they began on. */
const LINGER_MS = MINUTE_MS;

/** Connections to other homeservers: one each, to addresses that were judged before. */
export class Channels implements Disposable {
  readonly #ports: ChannelsPorts;
  readonly #open = new Map<Domain, Open>();
  readonly #ending = new Set<Channel>();
  #certificate: ChannelsPorts['trust']['certificate'];

  constructor(ports: ChannelsPorts) {
    this.#ports = ports;
    this.#certificate = ports.trust.certificate;
  }

  /** What is shown from now on; calls under way end as they began. */
  show(certificate: ChannelsPorts['trust']['certificate']): void {
    this.#certificate = certificate;
    for (const domain of this.#open.keys()) this.drop(domain);
  }

  /** To where the operator says that a peer is, else to where itself does. */
  async to(
    { domain, directory }: Pick<Peer, 'domain' | 'directory'>,
    listed = '',
  ): Promise<Channel> {
    const endpoint = listed === '' ? directory.endpoint : parseEndpoint(listed);
    const printed = printEndpoint(endpoint);
    const nowMs = this.#ports.clock.now();
    const kept = this.#open.get(domain);
    if (kept?.endpoint === printed && nowMs < kept.untilMs) return kept.channel;
    const addresses = await this.#addressesOf(endpoint);
    const { home, trust } = this.#ports;
    const shown = { ca: trust.ca, certificate: this.#certificate };
    const channel = claiming(home, connectHomeserver({ addresses, domain, ...shown }));
    this.drop(domain);
    this.#open.set(domain, { channel, endpoint: printed, untilMs: nowMs + LOOK_AGAIN_MS });
    return channel;
  }

  /** Connects anew the next time, to what the name stands for then. */
  drop(domain: Domain): void {
    const kept = this.#open.get(domain);
    this.#open.delete(domain);
    if (kept === undefined) return;
    const { channel } = kept;
    this.#ending.add(channel);
    const end = (): void => {
      this.#ending.delete(channel);
      channel.close();
    };
    setTimeout(end, LINGER_MS).unref();
  }

  [Symbol.dispose](): void {
    const open = [...this.#open.values()].map(({ channel }) => channel);
    for (const channel of [...open, ...this.#ending]) channel.close();
    this.#open.clear();
  }

  /** All of one kind, as gRPC's names want it: of what the resolver gave first. */
  async #addressesOf({ host, port }: Endpoint): Promise<string[]> {
    const found = await addressesOf(host, this.#ports);
    const [first] = found;
    return found
      .filter(({ family }) => family === first?.family)
      .map(({ address }) => printEndpoint({ host: address, port }));
  }
}

/** Each call says whose it is, as it is counted over there before it is read. */
function claiming(home: Domain, channel: Channel): Channel {
  return {
    ...channel,
    unary: async (call) => await channel.unary({ ...call, source: home }),
    stream: (call) => channel.stream({ ...call, source: home }),
  };
}
