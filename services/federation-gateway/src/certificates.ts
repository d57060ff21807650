import { createHash, X509Certificate } from 'node:crypto';
import { equal } from '@roost/core/bytes';
import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import { BadEnvelope } from '@roost/federation/envelope';
import { isCertificateOf } from '@roost/rpc/client';

/**
 * Whether homeservers show each other certificates on their connections, besides signing what they say.
 * `preferred`: one that is shown has to be of whom it speaks for. `required`: nothing is heard without one.
 */
export type MutualMode = 'off' | 'preferred' | 'required';

/** The purpose of a certificate (RFC 5280 §4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/**
 * Judges the certificates that other homeservers show. Public authorities sign none for clients, so one
 * counts by the pin of its key in its domain's signed directory, or by an authority that the operator named.
 */
export class Certificates {
  readonly #mode: MutualMode;
  readonly #authorities: readonly X509Certificate[];
  readonly #clock: Clock;

  constructor(mode: MutualMode, authorities: string | undefined, clock: Clock) {
    this.#mode = mode;
    this.#authorities = certificatesIn(authorities ?? '');
    this.#clock = clock;
  }

  /** Refuses what can be refused before anything is read: none where one is required, or that of another. */
  assertShown(shown: X509Certificate | undefined, source: Domain | undefined): void {
    if (this.#mode === 'off') return;
    if (shown === undefined) {
      if (this.#mode === 'required') throw refusal('this homeserver asks for a client certificate');
    } else if (source !== undefined && !isCertificateOf(shown, source)) {
      throw refusal(`the client certificate is not for ${source}`);
    }
  }

  /** Whether what was shown is enough for what comes from a domain, by the pins that it published. */
  isEnough(
    shown: X509Certificate | undefined,
    { domain, pins }: { readonly domain: Domain; readonly pins: readonly Uint8Array[] },
  ): boolean {
    this.assertShown(shown, domain);
    if (this.#mode !== 'required' || shown === undefined) return true;
    return this.#isOfNow(shown) && (isPinned(shown, pins) || this.#isIssued(shown));
  }

  /** By an authority of the operator's, for clients. */
  #isIssued(shown: X509Certificate): boolean {
    // `undefined` where it is for every purpose; Node's types forget that.
    const purposes: readonly string[] | undefined = shown.keyUsage;
    if (purposes !== undefined && !purposes.includes(CLIENT_AUTH)) return false;
    return this.#authorities.some(
      (authority) =>
        this.#isOfNow(authority) &&
        authority.ca &&
        shown.checkIssued(authority) &&
        shown.verify(authority.publicKey),
    );
  }

  #isOfNow({ validFromDate, validToDate }: X509Certificate): boolean {
    const nowMs = this.#clock.now();
    return +validFromDate <= nowMs && nowMs <= +validToDate;
  }
}

function refusal(what: string): BadEnvelope {
  return new BadEnvelope('certificate', what);
}

type Pair = { readonly cert: string; readonly key: string } | undefined;

/** The certificate that we show to others, and what is published of it. */
export class Shown {
  readonly #reread: () => Promise<Pair>;
  #certificate: Pair;
  #before: Pair;

  constructor({
    certificate,
    reread = async () => certificate,
  }: {
    readonly certificate?: Pair;
    readonly reread?: (() => Promise<Pair>) | undefined;
  }) {
    this.#certificate = certificate;
    this.#reread = reread;
  }

  get certificate(): Pair {
    return this.#certificate;
  }

  /** Of its public key, so that it can be renewed with that; and of the one before, which others may show yet. */
  get pins(): Uint8Array[] {
    return [...pinsOf(this.#certificate), ...pinsOf(this.#before)];
  }

  /** Whether it is another one by now. */
  async renew(): Promise<boolean> {
    const found = await this.#reread();
    if (found?.cert === this.#certificate?.cert) return false;
    [this.#before, this.#certificate] = [this.#certificate, found];
    return true;
  }
}

/** What is published of a certificate: SHA-256 of its public key. */
export function pinsOf(certificate: { readonly cert: string } | undefined): Uint8Array[] {
  return certificate === undefined ? [] : [pinOf(new X509Certificate(certificate.cert))];
}

function pinOf(certificate: X509Certificate): Uint8Array {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return new Uint8Array(createHash('sha256').update(spki).digest());
}

function isPinned(shown: X509Certificate, pins: readonly Uint8Array[]): boolean {
  const pin = pinOf(shown);
  return pins.some((each) => equal(each, pin));
}

/** Of a file with several, PEM. */
export function certificatesIn(pem: string): X509Certificate[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.map((each) => new X509Certificate(each));
}
