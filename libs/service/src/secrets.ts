import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { fromHex } from '@roost/core/bytes';

const SECRET_BYTES = 32;

/** A secret of a service: a file named after its purpose, 32 bytes in hex (a mounted Secret, for example). */
export async function readSecret(folder: string, purpose: string): Promise<Uint8Array> {
  const file = join(folder, purpose);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    const why = errorCode(error) ?? String(error);
    throw new CannotStart(
      `ROOST_SECRETS: ${file} cannot be read (${why}): it has to hold 32 random bytes in hex, the same for all ` +
        `replicas and never another (openssl rand -hex 32)`,
      { cause: error },
    );
  });
  const secret = fromHex(text.trim());
  if (secret?.length !== SECRET_BYTES) {
    throw new CannotStart(`ROOST_SECRETS: ${file} does not hold 32 bytes in hex: restore it`);
  }
  if (!isPattern(secret)) return secret;
  throw new CannotStart(
    `ROOST_SECRETS: ${file} holds a pattern and no secret: draw one (openssl rand -hex 32)`,
  );
}

/** What stands in examples: one byte again and again, or counting. */
function isPattern(secret: Uint8Array): boolean {
  const steps = secret.slice(1).map((byte, at) => byte - (secret[at] ?? 0));
  return new Set(steps).size === 1;
}
