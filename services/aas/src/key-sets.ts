import type { Domain } from '@roost/core/ids';
import { HOUR_MS, type Clock } from '@roost/core/time';
import { encodeIssuerKeySet, type IssuerKey } from '@roost/identity/issuer-keys';
import type {
  SignIssuerKeysRequest,
  SignIssuerKeysResponse,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { GetIssuerKeysResponse } from '@roost/proto/roost/tokens/v1/tokens';

interface Ports {
  readonly clock: Clock;
  readonly domain: Domain;
  readonly keys: () => readonly IssuerKey[];
  readonly sign: (request: SignIssuerKeysRequest) => Promise<SignIssuerKeysResponse>;
}

/** The key set that everyone is served, signed by the AS: made anew when a key changes its state. */
export class KeySets {
  readonly #ports: Ports;
  #kept:
    | { readonly key: string; readonly at: number; readonly set: Promise<GetIssuerKeysResponse> }
    | undefined;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  async signed(): Promise<GetIssuerKeysResponse> {
    const keys = this.#ports.keys();
    const now = this.#ports.clock.now();
    const key = keys
      .map(({ state, tokenClass, notBefore }) => `${state}${tokenClass}${notBefore}`)
      .join();
    if (this.#kept?.key !== key || now - this.#kept.at > HOUR_MS) {
      this.#kept = { key, at: now, set: this.#sign(keys, now) };
    }
    try {
      return await this.#kept.set;
    } catch (error) {
      this.#kept = undefined;
      throw error;
    }
  }

  async #sign(keys: readonly IssuerKey[], now: number): Promise<GetIssuerKeysResponse> {
    const { domain, sign } = this.#ports;
    const keySet = encodeIssuerKeySet({ domain, createdMs: BigInt(now), keys });
    return { keySet, ...(await sign({ keySet })) };
  }
}
