import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { type Clock, DAY_MS } from '@roost/core/time';
import { makeCertificates } from '../certificates.ts';
import { makeDoor } from './door.ts';
import type { Plan } from './plan.ts';
import type { Kept, NewSecret, Texts, Vault } from './vault.ts';

/** A certificate is renewed when so much of its time, or less, is left. */
const RENEWED_AT = 1 / 2;

/**
 * Makes every Secret of a plan that is not there. Keys and passwords that are there are never touched again, whatever the
 * plan says; certificates are renewed in time. Any number may do this at once, and again. Tells what was done.
 */
export async function provision(plan: Plan, vault: Vault, clock: Clock): Promise<string[]> {
  const done: string[] = [];
  for (const { secret: name, purpose } of plan.keys) {
    const make = () => ({ [purpose]: `${randomBytes(32).toString('hex')}\n` });
    const { isNew, texts } = await keep(vault, opaque(plan, name), make);
    if (texts[purpose] === undefined) {
      throw new CannotStart(`the Secret ${name} has no ${purpose}: restore it from a backup`);
    }
    if (isNew) done.push(`made ${name}`);
  }
  for (const { secret: name, fields } of plan.credentials) {
    const { isNew } = await keep(vault, opaque(plan, name), () => credentialsOf(fields));
    if (isNew) done.push(`made ${name}`);
  }
  if (plan.internal !== undefined) {
    done.push(...(await certify(plan, plan.internal, vault, clock)));
  }
  for (const door of [plan.door, plan.federationDoor]) {
    if (door === undefined) continue;
    const { secret: name, names, days } = door;
    const kept = await vault.find(name);
    const isGood = kept !== undefined && !isDue(kept, clock) && hasNames(kept, names);
    if (!isGood) {
      await put(vault, tls(plan, name, await makeDoor({ names, days })), kept);
      done.push(`${kept === undefined ? 'made' : 'renewed'} ${name}`);
    }
  }
  return done;
}

/** NATS takes what looks like a number for one, so a password begins with a letter. */
function credentialsOf(fields: Texts): Texts {
  const password = `p${randomBytes(24).toString('hex')}`;
  const filled = Object.entries(fields).map(
    ([name, text]) => [name, text.replaceAll('{password}', password)] as const,
  );
  return { ...Object.fromEntries(filled), password };
}

/** Those that are missing, due, or of another authority; the authority itself lies in a Secret that no service sees. */
async function certify(
  plan: Plan,
  { authority, days, certificates }: NonNullable<Plan['internal']>,
  vault: Vault,
  clock: Clock,
): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'roost-certificates-'));
  try {
    const [crt, key] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
    const had = await vault.find(authority);
    const authorityOf = ({ texts }: Kept): Promise<unknown> =>
      Promise.all([
        writeFile(crt, texts['ca.crt'] ?? '', { mode: 0o600 }),
        writeFile(key, texts['ca.key'] ?? '', { mode: 0o600 }),
      ]);
    if (had !== undefined) await authorityOf(had);
    const made = { domain: plan.domain, folder, days };
    await makeCertificates(made);
    if (had === undefined) {
      const texts = {
        'ca.crt': await readFile(crt, 'utf8'),
        'ca.key': await readFile(key, 'utf8'),
      };
      if (!(await vault.create({ ...opaque(plan, authority), texts }))) {
        // Somebody else was faster: certificates are to be theirs.
        const theirs = await vault.find(authority);
        if (theirs === undefined) throw new CannotStart(`the Secret ${authority} comes and goes`);
        await authorityOf(theirs);
        await makeCertificates(made);
      }
    }
    const done = had === undefined ? [`made ${authority}`] : [];
    const ca = await readFile(crt, 'utf8');
    for (const { secret: name, peer } of certificates) {
      const kept = await vault.find(name);
      if (kept !== undefined && !isDue(kept, clock) && kept.texts['ca.crt'] === ca) continue;
      const texts = {
        'ca.crt': ca,
        'tls.crt': await readFile(join(folder, `${peer}.crt`), 'utf8'),
        'tls.key': await readFile(join(folder, `${peer}.key`), 'utf8'),
      };
      await put(vault, tls(plan, name, texts), kept);
      done.push(`${kept === undefined ? 'made' : 'renewed'} ${name}`);
    }
    return done;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function keep(
  vault: Vault,
  secret: Omit<NewSecret, 'texts'>,
  make: () => Texts,
): Promise<{ readonly isNew: boolean; readonly texts: Texts }> {
  const kept = await vault.find(secret.name);
  if (kept !== undefined) return { isNew: false, texts: kept.texts };
  const texts = make();
  if (await vault.create({ ...secret, texts })) return { isNew: true, texts };
  const theirs = await vault.find(secret.name);
  if (theirs === undefined) throw new CannotStart(`the Secret ${secret.name} comes and goes`);
  return { isNew: false, texts: theirs.texts };
}

async function put(vault: Vault, secret: NewSecret, kept: Kept | undefined): Promise<void> {
  if (kept === undefined) await vault.create(secret);
  else await vault.replace(secret, kept);
}

function isDue({ texts }: Kept, clock: Clock): boolean {
  const certificate = certificateOf(texts);
  if (certificate === undefined) return true;
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  return to - clock.now() < Math.max(DAY_MS, (to - from) * RENEWED_AT);
}

function hasNames({ texts }: Kept, names: readonly string[]): boolean {
  const certificate = certificateOf(texts);
  return names.every((name) => certificate?.checkHost(name, { subject: 'never' }) !== undefined);
}

function certificateOf(texts: Texts): X509Certificate | undefined {
  try {
    return new X509Certificate(texts['tls.crt'] ?? '');
  } catch {
    return undefined;
  }
}

function opaque({ labels }: Plan, name: string): Omit<NewSecret, 'texts'> {
  return { name, labels, type: 'Opaque' };
}

function tls({ labels }: Plan, name: string, texts: Texts): NewSecret {
  return { name, labels, texts, type: 'kubernetes.io/tls' };
}
