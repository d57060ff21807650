import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate that signed itself, PEM: whoever is to believe it is told. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** With these subject alternative names (`DNS:b.example`), or none but the common name. */
export function makeCertificate(commonName: string, names?: string): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'roost-peer-'));
  try {
    const [cert, key] = [join(folder, 'a.crt'), join(folder, 'a.key')];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const extension = names === undefined ? [] : ['-addext', `subjectAltName=${names}`];
    const subject = ['-subj', `/CN=${commonName}`, ...extension, '-days', '30'];
    execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...subject], {
      stdio: 'ignore',
    });
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
