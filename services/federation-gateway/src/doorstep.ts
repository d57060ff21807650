import type { Arriving } from '@roost/rpc/arriving';
import type { Certificates } from './certificates.ts';
import type { Crowd } from './crowd.ts';
import type { FederationEvents } from './events.ts';
import type { Policy } from './policy.ts';

export interface DoorstepPorts {
  readonly crowd: Pick<Crowd, 'enter'>;
  readonly certificates: Pick<Certificates, 'assertShown'>;
  readonly policy: Pick<Policy, 'admit'>;
  readonly events: Pick<FederationEvents, 'refused'>;
}

/**
 * What a call of another homeserver gets through before a byte of it is read: by what it says that it is,
 * which the envelope has to say too, and by the certificate that it showed.
 */
export function doorstep(ports: DoorstepPorts): (call: Arriving) => Promise<Disposable> {
  return async (call) => {
    try {
      return await enter(ports, call);
    } catch (error) {
      ports.events.refused('unread', error);
      throw error;
    }
  };
}

async function enter(
  { crowd, certificates, policy }: DoorstepPorts,
  { source, certificate, signal }: Arriving,
): Promise<Disposable> {
  certificates.assertShown(certificate, source);
  using stack = new DisposableStack();
  // Those who do not say who they are, are one.
  stack.use(await crowd.enter(source ?? '', signal));
  if (source !== undefined) await policy.admit(source);
  return stack.move();
}
