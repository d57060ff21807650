// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 asks for it before it is loaded.
import 'reflect-metadata';
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as Issued,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import type { Domain } from '@roost/core/ids';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { printPeer } from '@roost/rpc/peer';

/** Everybody who shows a certificate to another process of the homeserver. */
export const PEERS = [
  ...['as', 'aas', 'qs', 'ds', 'federation-gateway'],
  ...['edge', 'peer', 'gate', 'operator'],
] as const;

export interface CertificatesOrder {
  readonly domain: Domain;
  readonly folder: string;
  /** How long the certificates of the processes are good for; the authority is for ten years. */
  readonly days: number;
}

/**
 * Makes the internal authority of a homeserver (`ca.crt`, `ca.key`) where there is none, and with it a new
 * certificate and key (`<name>.crt`, `<name>.key`) for each process: P-256, PEM, keys readable by the owner alone.
 * An authority that is there is kept, so that certificates can be renewed one process after the other.
 */
export async function makeCertificates(order: CertificatesOrder): Promise<string[]> {
  const { domain, folder, days } = order;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const authority = await openAuthority(order);
  for (const name of PEERS) {
    const keys = await generate();
    const certificate = await X509CertificateGenerator.create({
      ...common(name, domain, days * DAY_MS),
      issuer: authority.certificate.subject,
      publicKey: keys.publicKey,
      signingKey: authority.privateKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([{ type: 'url', value: printPeer({ domain, name }) }]),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(authority.certificate.publicKey),
      ],
    });
    await write(join(folder, `${name}.key`), await exportKey(keys.privateKey), 0o600);
    await write(join(folder, `${name}.crt`), pemOf(certificate), 0o644);
  }
  return [authority.isNew ? 'ca' : 'ca (kept)', ...PEERS];
}

interface Authority {
  readonly certificate: Issued;
  readonly privateKey: CryptoKey;
  readonly isNew: boolean;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const AUTHORITY_MS = 3_650 * DAY_MS;

async function openAuthority({ domain, folder, days }: CertificatesOrder): Promise<Authority> {
  const [crt, key] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  const [certificatePem, keyPem] = [await readIfThere(crt), await readIfThere(key)];
  if (certificatePem === undefined && keyPem === undefined) {
    const made = await makeAuthority(domain);
    await write(key, await exportKey(made.privateKey), 0o600);
    await write(crt, pemOf(made.certificate), 0o644);
    return made;
  }
  if (certificatePem === undefined || keyPem === undefined) {
    throw new CannotStart(
      `${folder} has only one of ca.crt and ca.key: put the other back, or delete it to make a new authority`,
    );
  }
  return await readAuthority({ certificatePem, keyPem }, { domain, folder, days });
}

async function readAuthority(
  { certificatePem, keyPem }: { certificatePem: string; keyPem: string },
  { domain, folder, days }: CertificatesOrder,
): Promise<Authority> {
  try {
    const read = new X509Certificate(certificatePem);
    const isOurs = read.subject.split('\n').includes(`O=${domain}`);
    if (!isOurs) throw new CannotStart(`${folder} belongs to another home domain: choose another`);
    if (Date.parse(read.validTo) < Date.now() + days * DAY_MS) {
      throw new CannotStart(
        `the authority in ${folder} ends before ${days} days are over: move it away to make a new one, and ` +
          'let every process believe both while certificates change',
      );
    }
    const pkcs8 = PemConverter.decodeFirst(keyPem);
    const isItsKey = read.checkPrivateKey(createPrivateKey(keyPem));
    if (!isItsKey) throw new Error('the key is that of another certificate');
    const privateKey = await crypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
    return { certificate: new Issued(certificatePem), privateKey, isNew: false };
  } catch (error) {
    if (error instanceof CannotStart) throw error;
    throw new CannotStart(`ca.crt and ca.key in ${folder} are damaged: restore them`, {
      cause: error,
    });
  }
}

async function makeAuthority(domain: Domain): Promise<Authority> {
  const keys = await generate();
  const { subject, ...rest } = common('Roost internal authority', domain, AUTHORITY_MS);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...rest,
    name: subject,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, privateKey: keys.privateKey, isNew: true };
}

function common(name: string, domain: Domain, lastsMs: number) {
  // Clocks of two machines need not agree to the minute.
  const notBefore = new Date(Date.now() - HOUR_MS);
  return {
    serialNumber: `00${randomBytes(15).toString('hex')}`,
    subject: `CN=${name}, O=${domain}`,
    notBefore,
    notAfter: new Date(Date.now() + lastsMs),
    signingAlgorithm: ALGORITHM,
  };
}

async function generate(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: CryptoKey): Promise<string> {
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', key);
  return `${PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`;
}

function pemOf(certificate: Issued): string {
  return `${certificate.toString('pem')}\n`;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new CannotStart(`${file} cannot be read: ${String(error)}`, { cause: error });
  }
}

/** Whole or not at all: whoever watches the file never reads half of it. */
async function write(file: string, text: string, mode: number): Promise<void> {
  await writeFile(`${file}.new`, text, { mode, flush: true });
  await rename(`${file}.new`, file);
}
