import type { PushRegistration } from '@roost/bus/push';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Push, PushOutcome } from './push.ts';

/** A provider that writes down what it is asked for, and answers as it is told. */
export class RecordingPush implements Push {
  readonly publicKey = crypto.p256.generate().publicKey;
  readonly sent: PushRegistration[] = [];
  readonly outcomes: PushOutcome[] = [];

  async send(to: PushRegistration): Promise<PushOutcome> {
    this.sent.push(to);
    return this.outcomes.shift() ?? 'sent';
  }
}
