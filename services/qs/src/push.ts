import type { PushRegistration } from '@roost/bus/push';

/**
 * What a provider made of a push: `gone` where the subscription has ended for good, `refused` where it
 * never will be taken, `later` where it may be tried again.
 */
export type PushOutcome = 'sent' | 'gone' | 'refused' | 'later';

/** Tells a client that nobody listens for that something came; never what. */
export interface Push {
  /** What clients subscribe with: P-256, an uncompressed point of 65 bytes (RFC 8292 §4). */
  readonly publicKey: Uint8Array;
  /** Never throws: a push is a hint. */
  send(to: PushRegistration, signal: AbortSignal): Promise<PushOutcome>;
}
