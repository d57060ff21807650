import { type FileHandle, open } from 'node:fs/promises';
import type { Command } from 'commander';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { nodeCrypto } from '@roost/crypto/node';
import {
  FederationAdminServiceDefinition,
  type ReadAuditRequest,
} from '@roost/proto/roost/federation/v1/admin';
import { HeadWriter } from '../audit-head.ts';
import { endLine, headerLine, pageLines, verifyFile } from '../audit-file.ts';
import { ask, type Desk, type Door, examples, group, placeFor, tell } from '../desk.ts';
import { table } from '../output.ts';

const GATEWAY: Door<typeof FederationAdminServiceDefinition> = {
  service: 'federation-gateway',
  definition: FederationAdminServiceDefinition,
};

/** The record of what other homeservers said, which they cannot deny. */
export function addAudit(program: Command, desk: Desk): void {
  const audit = group(program, 'audit', 'the record of what other homeservers said');
  audit
    .command('export')
    .description('write the record into a file that can be checked offline; it holds no contents')
    .requiredOption('--out <file>', 'a file that is not there yet')
    .option('--head <file>', 'another one, for where it ends: to be kept elsewhere')
    .addHelpText('after', examples('audit export --out audit.jsonl --head audit-head.json'))
    .action(async ({ out, head }: { out: string; head?: string }, command: Command) => {
      await using file = await made('--out', out);
      await using headFile = head === undefined ? undefined : await made('--head', head);
      const [ends, nowMs] = [new HeadWriter(), Date.now()];
      const rows = await ask(placeFor(desk, command), GATEWAY, async (admin) => {
        let count = 0;
        await file.write(headerLine(nowMs));
        let last: ReadAuditRequest = { chain: new Uint8Array(0), position: 0n };
        for (let hasMore = true; hasMore;) {
          const page = await admin.readAudit(last);
          await file.write(pageLines(page));
          ends.note(page.rows);
          count += page.rows.length;
          last = page.rows.at(-1) ?? last;
          hasMore = page.hasMore && page.rows.length > 0;
        }
        await file.write(endLine(count));
        await headFile?.write(ends.text(nowMs));
        return count;
      });
      tell(desk, command, { text: `${rows} rows in ${out}\n`, json: { rows, file: out } });
    });
  audit
    .command('verify')
    .description(
      'check an exported record with nothing but itself; ends with 1 where a row is wrong',
    )
    .argument('<file>')
    .option('--head <file>', 'of an export before: whether all that it ended with is there')
    .addHelpText('after', examples('audit verify audit.jsonl --head audit-head.json'))
    .action((file: string, { head }: { head?: string }, command: Command) => {
      const { checked, flaws } = verifyFile(nodeCrypto, file, head);
      const rows = flaws.map(({ chain, position, what }) => [chain, position, FLAWS[what]]);
      const text =
        flaws.length === 0
          ? `${checked} rows, all as they were accepted\n`
          : `${checked} rows, ${flaws.length} findings\n\n${table(['CHAIN', 'ROW', 'WHAT IS WRONG'], rows)}`;
      tell(desk, command, { text, json: { checked, flaws } });
      if (flaws.length > 0) desk.end(1);
    });
}

async function made(option: string, path: string): Promise<FileHandle> {
  return await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw new CannotStart(
      `${option} ${path} cannot be made (${errorCode(error) ?? String(error)})`,
    );
  });
}

const FLAWS = {
  hash: 'it, or the row before it, was changed',
  gap: 'rows before it are missing',
  envelope: 'its envelope cannot be read',
  key: 'no key of its source was good when it was signed',
  signature: 'its source did not sign it',
  head: 'it is another one than when the head was taken',
  end: 'it was there when the head was taken',
} as const;
