import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate for the loopback, signed by itself: whoever is to believe it is told. */
export interface SelfSigned {
  /** Paths. */
  readonly cert: string;
  readonly key: string;
  /** PEM. */
  readonly ca: string;
}

export function makeSelfSigned(folder: string): SelfSigned {
  const [cert, key] = [join(folder, 'door.crt'), join(folder, 'door.key')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  // It outlasts every run.
  const subject = ['-subj', '/CN=localhost', '-addext', names, '-days', '30'];
  execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  return { cert, key, ca: readFileSync(cert, 'utf8') };
}
