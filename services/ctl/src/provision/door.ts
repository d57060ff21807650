import { randomBytes } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import type { Texts } from './vault.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate for a door, signed by itself: whoever tries a homeserver out has to be told of it. */
export async function makeDoor({
  names,
  days,
}: {
  readonly names: readonly string[];
  readonly days: number;
}): Promise<Texts> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: `00${randomBytes(15).toString('hex')}`,
    name: `CN=${names[0] ?? ''}`,
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(Date.now() + days * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value }))),
    ],
  });
  const pem = `${certificate.toString('pem')}\n`;
  const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    'ca.crt': pem,
    'tls.crt': pem,
    'tls.key': `${PemConverter.encode(key, 'PRIVATE KEY')}\n`,
  };
}
