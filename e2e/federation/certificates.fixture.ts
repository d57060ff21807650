import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate that signed itself, PEM: whoever is to believe it is told. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOrder {
  readonly commonName: string;
  /** Subject alternative names, such as `DNS:b.example`; none but the common name where it is absent. */
  readonly names?: string;
  /** Below 0: it has ended. */
  readonly days?: number;
}

export function makeCertificate({ commonName, names, days = 30 }: CertificateOrder): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'roost-hostile-'));
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
  try {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const subject = ['-subj', `/CN=${commonName}`];
    openssl('req', '-new', ...curve, '-keyout', at('key'), '-out', at('csr'), ...subject);
    writeFileSync(at('ext'), names === undefined ? '' : `subjectAltName=${names}\n`);
    const own = ['-in', at('csr'), '-signkey', at('key'), '-days', String(days)];
    openssl('x509', '-req', ...own, '-extfile', at('ext'), '-out', at('crt'));
    return { cert: readFileSync(at('crt'), 'utf8'), key: readFileSync(at('key'), 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
