import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import {
  assertAddressed,
  assertCertified,
  assertSigned,
  BadEnvelope,
  type Envelope,
  readEnvelope,
} from '@roost/federation/envelope';
import type { CallContext } from '@roost/rpc/service';
import type { Certificates } from './certificates.ts';
import type { FederationEvents } from './events.ts';
import type { Ledger } from './ledger.ts';
import type { Limits, Wanted } from './limits.ts';
import type { Peer, Peers } from './peers.ts';
import type { Policy } from './policy.ts';

export interface DoorPorts {
  readonly home: Domain;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly policy: Pick<Policy, 'admit'>;
  readonly peers: Pick<Peers, 'findSigner'>;
  readonly certificates: Pick<Certificates, 'isEnough'>;
  readonly limits: Limits;
  readonly ledger: Pick<Ledger, 'accept'>;
  readonly events: Pick<FederationEvents, 'accepted' | 'refused'>;
  /** A homeserver is there: it said something. */
  readonly heard: (source: Domain) => void;
}

/** What is asked for it, and what is known of whoever sent it without having read it. */
export interface Knock extends Pick<Wanted, 'kind' | 'cost'> {
  readonly method?: string;
  readonly from: Pick<CallContext, 'source' | 'certificate'>;
}

/** What came in, and who sent it. */
export interface Accepted {
  readonly envelope: Envelope;
  readonly peer: Peer;
}

/**
 * What every word of another homeserver has to get through, in this order: its form; that it is for us and
 * of now; the policy; the certificate that was shown; its signature, for this payload; the limits; and the ledger. Nothing is looked for
 * in the name of a domain that the policy keeps out, and nothing is written before a signature holds.
 */
export class Door {
  readonly #ports: DoorPorts;

  constructor(ports: DoorPorts) {
    this.#ports = ports;
  }

  /** `work` is what is done with it once it is in: what that refuses is counted too. */
  async admit<T>(
    [bytes, payload]: readonly [envelope: Uint8Array, payload: Uint8Array],
    wanted: Knock,
    work: (accepted: Accepted) => Promise<T>,
  ): Promise<T> {
    const { events } = this.#ports;
    try {
      const done = await work(await this.#accept(bytes, payload, wanted));
      events.accepted(wanted.kind);
      return done;
    } catch (error) {
      events.refused(wanted.kind, error);
      throw error;
    }
  }

  async #accept(
    bytes: Uint8Array,
    payload: Uint8Array,
    { method, kind, cost, from }: Knock,
  ): Promise<Accepted> {
    const { certificates, clock, crypto, home, ledger, limits, peers, policy } = this.#ports;
    const sealed = readEnvelope(bytes);
    const { envelope } = sealed;
    assertAddressed(envelope, home, clock.now());
    if (method !== undefined && envelope.method !== method) {
      throw new BadEnvelope('method', 'it is for another method');
    }
    if (from.source !== undefined && from.source !== envelope.source) {
      throw new BadEnvelope('source', 'it came as a call of another homeserver');
    }
    await policy.admit(envelope.source);
    const isCertified = ({ directory }: Pick<Peer, 'directory'>): boolean =>
      certificates.isEnough(from.certificate, directory);
    const peer = await peers.findSigner(envelope.source, envelope.keyId, isCertified);
    assertCertified(envelope, () => isCertified(peer));
    assertSigned(crypto, sealed, payload, peer.keys);
    await limits.take(peer, { kind, cost, groupTag: envelope.groupTag });
    const { source, messageId, expiresMs } = envelope;
    const digest = crypto.sha256(sealed.content);
    await ledger.accept({ source, messageId, expiresMs, digest, envelope: bytes });
    this.#ports.heard(source);
    return { envelope, peer };
  }
}
