import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '@roost/core/error-code';
import { runProgram } from './processes.ts';
import { Run } from './run.ts';

/**
 * The folder with the internal certificates of a homeserver, as `roostctl certificates` makes it. Homeservers of one
 * name share it in a run.
 */
export async function certificatesOf(domain: string): Promise<string> {
  const parent = join(Run.current().folder, 'certificates');
  const folder = join(parent, domain);
  if (existsSync(folder)) return folder;
  mkdirSync(parent, { recursive: true });
  const unfinished = mkdtempSync(`${folder}.new-`);
  await makeCertificates(domain, unfinished);
  try {
    await rename(unfinished, folder);
  } catch (error) {
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
    await rm(unfinished, { recursive: true }); // another was faster
  }
  return folder;
}

/** Makes an authority of its own and certificates by it. */
export async function makeCertificates(domain: string, folder: string): Promise<void> {
  const args = ['certificates', '--domain', domain, '--out', folder];
  const { status, output } = await runProgram('services/ctl/src/main.ts', args);
  if (status !== 0) throw new Error(`roostctl certificates ended with ${status}: ${output}`);
}
