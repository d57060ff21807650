import { rm } from 'node:fs/promises';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { type RunningServer, type ServeOptions, serve } from '@roost/rpc/server';
import type { Options } from './command-line.ts';

/** A certificate chain and its key, PEM. */
export type Files = NonNullable<Options['tls']>;

/** Reads certificate and key, and refuses what does not fit together before anything starts. */
export async function readTls(files: Files): Promise<NonNullable<ServeOptions['tls']>> {
  const [cert, key] = await Promise.all([
    read('--tls-cert', files.cert),
    read('--tls-key', files.key),
  ]);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new CannotStart(
      `${files.cert} and ${files.key} are not a certificate and its key in PEM without a passphrase ` +
        `(${String(error)}): give a pair that belongs together`,
      { cause: error },
    );
  }
  return { cert, key };
}

/** Opens a door; why it cannot be opened is a sentence. */
export async function listen(options: ServeOptions): Promise<RunningServer> {
  const { listen: where } = options;
  // The lock of the home is ours: a socket that lies there belongs to nobody.
  if ('path' in where) await rm(where.path, { force: true });
  try {
    return await serve(options);
  } catch (error) {
    const remedy = REMEDIES[errorCode(error) ?? ''];
    const at = 'path' in where ? where.path : `${where.host}:${where.port}`;
    if (remedy === undefined) throw error;
    throw new CannotStart(`cannot listen on ${at}: ${remedy}`, { cause: error });
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program does already; stop it, or give another address (--listen)',
  EACCES: 'this user may not; give a port above 1023 (--listen)',
  EADDRNOTAVAIL: 'this machine does not have that address; give one that it has (--listen)',
  ENOTFOUND: 'no address belongs to that name; give one of this machine (--listen)',
  EINVAL: 'its path is too long for a socket; choose a shorter data folder (--data)',
};

async function read(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CannotStart(
      `${option} ${file} cannot be read (${errorCode(error)}): give a PEM file`,
      {
        cause: error,
      },
    );
  }
}
