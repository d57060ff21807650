import { createServer, type Server } from 'node:https';
import type { RequestListener } from 'node:http';
import { Failure } from '@roost/core/failure';
import { type Domain, parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type Directory, printDirectory, signDirectory } from '@roost/federation/directory';
import { firstKey, keyIdOf, nextKey, type OwnKey, replacementKey } from '@roost/federation/keys';
import { SPOKEN } from '@roost/federation/versions';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { type Channel, connectHomeserver } from '@roost/rpc/client';
import { type Client, clientOf } from '@roost/rpc/call';
import { type Certificate, makeCertificate } from './certificates.fixture.ts';

export interface HostileOptions {
  readonly domain: string;
  /** A loopback address of its own. */
  readonly address: string;
  readonly wellKnownPort: number;
  readonly certificate?: Certificate;
  /** What its directory says besides. */
  readonly says?: Partial<Pick<Directory, 'endpoint' | 'protocol' | 'domain' | 'serial' | 'pins'>>;
  /** In the stead of the directory. */
  readonly answers?: RequestListener;
  readonly maxVersion?: 'TLSv1.2';
}

/** A homeserver that keeps to no rule, with keys and a well-known address as all have them. */
export class Hostile implements AsyncDisposable {
  readonly domain: Domain;
  readonly certificate: Certificate;
  /** How often its well-known address was asked. */
  asked = 0;
  /** What signs; an old one that has ended, one that was revoked, one of tomorrow. */
  readonly keys: Readonly<Record<'current' | 'expired' | 'revoked' | 'early', OwnKey>>;
  readonly #server: Server;
  readonly #options: HostileOptions;

  private constructor(options: HostileOptions) {
    this.#options = options;
    this.domain = parseDomain(options.domain);
    const { certificate, maxVersion } = options;
    this.certificate =
      certificate ??
      makeCertificate({ commonName: options.domain, names: `DNS:${options.domain}` });
    this.keys = keysOf(this.domain);
    const { cert, key } = this.certificate;
    const versions = maxVersion === undefined ? {} : { minVersion: maxVersion, maxVersion };
    this.#server = createServer({ cert, key, ...versions }, (request, response) => {
      this.asked++;
      if (options.answers !== undefined) return options.answers(request, response);
      response.writeHead(200, { 'content-type': 'application/json' }).end(this.document());
    });
    this.#server.on('tlsClientError', () => undefined);
  }

  static async open(options: HostileOptions): Promise<Hostile> {
    const hostile = new Hostile(options);
    await new Promise<void>((resolve, reject) => {
      hostile.#server.once('error', reject);
      hostile.#server.listen(options.wellKnownPort, options.address, resolve);
    });
    return hostile;
  }

  /** What stands at its well-known address. */
  document(): string {
    const { expired, revoked, current, early } = this.keys;
    const directory = {
      ...{ domain: this.domain, serial: 1n, createdMs: Date.now(), protocol: SPOKEN, pins: [] },
      endpoint: { host: `federation.${this.domain}`, port: 8443 },
      ...this.#options.says,
      keys: [expired, revoked, current, early],
    };
    return printDirectory(signDirectory(crypto, directory));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

/** One chain, so that whoever reads it believes all of them. */
function keysOf(domain: Domain): Hostile['keys'] {
  const now = Date.now();
  const expired = firstKey(crypto, domain, now - 100 * DAY_MS);
  const lost = replacementKey(crypto, domain, expired, now - 10 * DAY_MS);
  const current = replacementKey(crypto, domain, lost, now - DAY_MS);
  const early = nextKey(crypto, domain, current, now);
  return { expired, revoked: { ...lost, revokedAt: now - DAY_MS }, current, early };
}

export const idOf = (key: Pick<OwnKey, 'publicKey'>): Uint8Array => keyIdOf(crypto, key.publicKey);

export interface LineOptions {
  /** Whom it believes, PEM. */
  readonly ca: string;
  /** The certificate that it shows. */
  readonly shows?: Certificate;
  /** Whose gateway it says that it is, before what it says is read. */
  readonly claims?: string;
}

/** The way to a homeserver's listener, over TLS. */
export class Line implements Disposable {
  readonly client: Client<typeof PeerServiceDefinition>;
  readonly #channel: Channel;

  constructor(
    to: { readonly domain: Domain; readonly address: string; readonly port: number },
    { ca, shows, claims }: LineOptions,
  ) {
    const addresses = [`${to.address}:${to.port}`];
    const shown = shows === undefined ? {} : { certificate: shows };
    this.#channel = connectHomeserver({ addresses, domain: to.domain, ca, ...shown });
    const { unary, stream } = this.#channel;
    const source = claims === undefined ? undefined : parseDomain(claims);
    this.client = clientOf(PeerServiceDefinition, {
      unary: async (call) => await unary({ ...call, source }),
      stream,
    });
  }

  /** The reason that is heard, or `answered`. */
  async call(envelope: Uint8Array, payload: Uint8Array): Promise<string> {
    return await heard(this.client.call({ envelope, payload }, { deadlineMs: DEADLINE_MS }));
  }

  /** The same of each delivery. */
  async deliver(
    ...deliveries: readonly { envelope: Uint8Array; payload: Uint8Array }[]
  ): Promise<string[]> {
    const { results } = await this.client.deliver(
      { deliveries: [...deliveries] },
      { deadlineMs: DEADLINE_MS },
    );
    return results.map(({ result }) =>
      result?.$case === 'refused' ? result.value.reason : 'answered',
    );
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }
}

/** How a call ended, by its reason. */
export async function heard(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'answered';
  } catch (error) {
    if (error instanceof Failure) return error.reason;
    return error instanceof Error ? error.message : String(error);
  }
}

const DEADLINE_MS = 60_000;
