import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';

/** One of several homeservers of a machine, as the others see it. */
export interface Neighbour {
  readonly domain: string;
  /** A loopback address of its own. */
  readonly address: string;
  /** The paths of its certificate for its domain, PEM. */
  readonly cert: string;
  readonly key: string;
}

/**
 * What homeservers that are to meet on one machine have in common, as an operator of a private federation sets it
 * up: a certificate for each, a file of hosts in the stead of DNS, and one port. The homeservers themselves are
 * opened with it: `World.open({ domain, neighbourhood })`.
 */
export class Neighbourhood implements Disposable {
  /** Where all of them listen for each other, each at its own address; the well-known address is there too. */
  readonly port: number;
  /** The certificates that all believe, PEM. */
  readonly ca: string;
  readonly #folder: string;
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #names = new Map<string, readonly string[]>();

  private constructor(folder: string, domains: readonly string[], net: string, port: number) {
    this.#folder = folder;
    this.port = port;
    for (const [index, domain] of domains.entries()) {
      const address = `127.${net}.${index + 1}`;
      this.#neighbours.set(domain, { domain, address, ...makeCertificate(folder, domain) });
      this.#names.set(domain, [address]);
    }
    const all = [...this.#neighbours.values()].map(({ cert }) => readFileSync(cert, 'utf8'));
    this.ca = all.join('');
    writeFileSync(this.#path('ca.pem'), this.ca);
    this.#writeNames();
  }

  static async open(domains: readonly string[] = DOMAINS): Promise<Neighbourhood> {
    const folder = mkdtempSync(join(tmpdir(), 'roost-neighbours-'));
    const { net, port } = await freeNet(domains.length);
    return new Neighbourhood(folder, domains, net, port);
  }

  of(domain: string): Neighbour {
    const found = this.#neighbours.get(domain);
    assert(found !== undefined, `${domain} belongs to the neighbourhood`);
    return found;
  }

  /** What a name stands for from now on; nothing: it is not there. */
  point(name: string, addresses: readonly string[]): void {
    this.#names.set(name, addresses);
    this.#writeNames();
  }

  /** What the gateway of one of them is told. */
  environmentOf(domain: string): Readonly<Record<string, string>> {
    const { cert, key } = this.of(domain);
    return {
      ROOST_FEDERATION_ENDPOINT: `${domain}:${this.port}`,
      ROOST_FEDERATION_WELL_KNOWN_PORT: String(this.port),
      ROOST_FEDERATION_HOSTS: this.#path('hosts'),
      ROOST_FEDERATION_CA: this.#path('ca.pem'),
      ROOST_FEDERATION_ALLOWED_NETWORKS: '127.0.0.0/8',
      ...{ ROOST_FEDERATION_CERT: cert, ROOST_FEDERATION_KEY: key },
      // By pins: none of them knows an authority for the others' certificates of clients.
      ROOST_FEDERATION_MTLS: 'required',
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #writeNames(): void {
    const lines = [...this.#names].flatMap(([name, addresses]) =>
      addresses.map((address) => `${address} ${name}\n`),
    );
    writeFileSync(this.#path('hosts'), lines.join(''));
  }
}

const DOMAINS = ['a.example', 'b.example', 'c.example'];

function makeCertificate(folder: string, domain: string) {
  const [cert, key] = [join(folder, `${domain}.crt`), join(folder, `${domain}.key`)];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const subject = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:${domain}`];
  execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  return { cert, key };
}

/** Loopback addresses that nobody of this machine uses, with a port that is free on all of them. */
async function freeNet(size: number): Promise<{ net: string; port: number }> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const draw = (from: number, count: number): number => from + Math.floor(Math.random() * count);
    const [net, port] = [`${draw(64, 128)}.${draw(1, 250)}`, draw(20_000, 12_000)];
    const free = await Promise.all(
      Array.from({ length: size }, async (_, index) => isFree(`127.${net}.${index + 1}`, port)),
    );
    if (free.every((each) => each)) return { net, port };
  }
  throw new Error('no loopback addresses are free: this machine may have only one');
}

async function isFree(host: string, port: number): Promise<boolean> {
  const probe = createServer();
  const listening = new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, host, () => resolve(true));
  });
  const free = await listening;
  if (free) await new Promise((resolve) => probe.close(resolve));
  return free;
}
