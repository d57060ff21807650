import { clientWire, type ClientId } from '@roost/core/ids';
import { Failure } from '@roost/core/failure';
import type { TokenClass } from '@roost/identity/issuer-keys';
import type {
  GetClientRequest,
  GetClientResponse,
} from '@roost/proto/roost/authentication/v1/authentication';

export interface Standing {
  readonly signatureKey: Uint8Array;
  readonly isSuspended: boolean;
  /** How many tokens of a class the account may draw in a period. */
  readonly quantity: (tokenClass: TokenClass) => number;
}

interface Ports {
  readonly getClient: (request: GetClientRequest) => Promise<GetClientResponse>;
  readonly quantities: Readonly<Record<TokenClass, number>>;
}

/**
 * How a client stands, asked of the AS each time: a batch is rare, and a suspension ends the drawing of
 * tokens at once.
 */
export class Accounts {
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** `undefined` where the AS knows no such client. */
  async standing(client: ClientId): Promise<Standing | undefined> {
    try {
      const answer = await this.#ports.getClient({ clientId: clientWire(client) });
      const own = { general: answer.generalAllowance, contact: answer.contactAllowance };
      return {
        signatureKey: answer.signatureKey,
        isSuspended: answer.isSuspended,
        quantity: (tokenClass) => own[tokenClass] ?? this.#ports.quantities[tokenClass],
      };
    } catch (error) {
      if (error instanceof Failure && error.reason === 'USER_UNKNOWN') return undefined;
      throw error;
    }
  }
}
