import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/** An authority, and what it signs: certificates with these names, of one purpose or of all. */
export function makeAuthority(commonName: string, constraints = 'critical,CA:TRUE') {
  const folder = mkdtempSync(join(tmpdir(), 'roost-authority-'));
  const [cert, key] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
  const openssl = (...args: readonly string[]) => {
    execFileSync('openssl', ['req', '-x509', ...curve, ...args], { stdio: 'ignore' });
  };
  const constrained = ['-addext', `basicConstraints=${constraints}`];
  openssl('-keyout', key, '-out', cert, '-subj', `/CN=${commonName}`, ...constrained);
  const [certPem, keyPem] = [readFileSync(cert, 'utf8'), readFileSync(key, 'utf8')];
  rmSync(folder, { recursive: true });
  return {
    cert: certPem,
    issue(names: string, purpose?: string): string {
      const place = mkdtempSync(join(tmpdir(), 'roost-issued-'));
      try {
        const [ca, caKey, out] = ['ca.crt', 'ca.key', 'a.crt'].map((name) => join(place, name));
        writeFileSync(ca ?? '', certPem);
        writeFileSync(caKey ?? '', keyPem);
        const usage = purpose === undefined ? [] : ['-addext', `extendedKeyUsage=${purpose}`];
        openssl(
          ...['-CA', ca ?? '', '-CAkey', caKey ?? '', '-subj', '/CN=issued'],
          ...['-addext', `subjectAltName=${names}`, ...usage],
          ...['-addext', 'basicConstraints=critical,CA:FALSE'],
          ...['-keyout', join(place, 'a.key'), '-out', out ?? ''],
        );
        return readFileSync(out ?? '', 'utf8');
      } finally {
        rmSync(place, { recursive: true });
      }
    },
  };
}
