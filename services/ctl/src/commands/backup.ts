import { resolve } from 'node:path';
import type { Command } from 'commander';
import { backUp, finalize, nextIncarnation, restore } from '../backup.ts';
import { type Desk, examples, placeFor, tell } from '../desk.ts';
import { databasesOf, dumpAll } from '../dumps.ts';
import type { Place } from '../place.ts';
import { Misused } from '@roost/service/run';

/** Backups, and what follows when one is restored. */
export function addBackup(program: Command, desk: Desk): void {
  addTake(program, desk);
  addRestore(program, desk);
}

function addTake(program: Command, desk: Desk): void {
  program
    .command('backup')
    .description(
      'of a homeserver that is all in one, while it runs: all databases as of one moment, keys and identity; with --database, of each database a dump by pg_dump',
    )
    .requiredOption(
      '--out <folder>',
      'a folder that is not there yet; who can read it can be the homeserver',
    )
    .option(
      '--database <service=url...>',
      'of services of their own (or ROOSTCTL_DATABASE_AS, _AAS, _QS, _DS, _FEDERATION_GATEWAY)',
    )
    .addHelpText(
      'after',
      examples(
        'backup --out /backup/2026-11-21',
        'backup --out dumps --database as=postgres://as@db/as aas=postgres://aas@db/aas qs=… ds=…',
      ),
    )
    .action(
      async ({ out, database = [] }: { out: string; database?: string[] }, command: Command) => {
        const databases = databasesOf(database, desk.environment);
        if (databases.size > 0) {
          const files = await dumpAll(databases, resolve(out), desk.environment);
          const text = `${files.map((file) => `${file}\n`).join('')}${NOT_IN_DUMPS}`;
          tell(desk, command, { text, json: { folder: out, files } });
          return;
        }
        await backUp(folderOf(placeFor(desk, command)), resolve(out));
        const text = `backed up to ${out}: databases, keys and identity; keep it as safe as the homeserver itself\n`;
        tell(desk, command, { text, json: { folder: out } });
      },
    );
}

function addRestore(program: Command, desk: Desk): void {
  const restoring = program
    .command('restore')
    .description(
      'put a backup in the place of a homeserver that is all in one and stopped; what was there is put aside',
    )
    .option('--from <folder>', 'what "backup" made')
    .option('--yes', 'also where there is a homeserver already')
    .addHelpText(
      'after',
      `\n${FINALIZED}${examples('restore --from /backup/2026-11-21 --data /var/lib/roost --yes')}`,
    )
    .action(async ({ from, yes }: { from?: string; yes?: boolean }, command: Command) => {
      if (from === undefined) throw new Misused('say what to restore: --from <folder>');
      const home = folderOf(placeFor(desk, command));
      const done = await restore(resolve(from), home, { isReplacing: yes === true });
      const aside = done.replaced === undefined ? '' : `what was there lies in ${done.replaced}\n`;
      const text = `${done.domain} is back in ${home}, incarnation ${done.incarnation}\n${aside}${FINALIZED}`;
      tell(desk, command, { text, json: done });
    });
  restoring
    .command('finalize')
    .description(
      'after databases were put back by other means, before the homeserver starts: raise its incarnation; of services of their own, tell the one to give them',
    )
    .addHelpText(
      'after',
      `\n${FINALIZED}${examples('restore finalize --data /var/lib/roost', 'restore finalize --address as:7443 --certificates c --domain a.example')}`,
    )
    .action(async (_, command: Command) => {
      const place = placeFor(desk, command);
      if ('data' in place) {
        const incarnation = await finalize(place.data);
        const text = `incarnation ${incarnation}\n${FINALIZED}`;
        tell(desk, command, { text, json: { incarnation } });
        return;
      }
      const incarnation = nextIncarnation(1);
      const text =
        `give every service ROOST_INCARNATION=${incarnation} (the chart: --set incarnation=${incarnation}), all at once,\n` +
        `before any of them serves again\n${FINALIZED}`;
      tell(desk, command, { text, json: { incarnation } });
    });
}

function folderOf(place: Place): string {
  if ('data' in place) return place.data;
  throw new Misused(
    'services of their own keep their data in databases: say --database service=url for each, and see --help',
  );
}

const NOT_IN_DUMPS = `Not in these: the Secrets (keys of the services, passwords, certificates), without which the dumps are of no use: keep
them apart from the dumps. To restore: stop all services, pg_restore --clean --if-exists each, then
roostctl restore finalize.
`;
const FINALIZED = `At their next start, before they serve, the services do what a restore asks for: issuer keys are replaced and tokens
that were drawn are void; KeyPackages and invite codes that were open are withdrawn; queues go on behind a gap, so that
clients look for what they missed; groups go on by their members' resync.
`;
