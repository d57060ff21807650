import { readFile } from 'node:fs/promises';
import { CannotStart } from '@roost/core/cannot-start';

/** Reads whom to trust, from the file that a variable names, where it names one. */
export async function readCaFile(
  variable: string,
  file: string | undefined,
): Promise<string | undefined> {
  if (file === undefined) return undefined;
  return await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CannotStart(`${variable}: ${file} cannot be read (${String(error)})`, {
      cause: error,
    });
  });
}
