import { isNativeError } from 'node:util/types';
import { Command, CommanderError } from 'commander';
import { Misused } from '@roost/service/run';
import { addAudit } from './commands/audit.ts';
import { addBackup } from './commands/backup.ts';
import { addCertificates } from './commands/certificates.ts';
import { addChart } from './commands/chart.ts';
import { addDepths } from './commands/depths.ts';
import { addFederation } from './commands/federation.ts';
import { addInvites } from './commands/invites.ts';
import { addKeys } from './commands/keys.ts';
import { addUsers } from './commands/users.ts';
import { type Desk, examples } from './desk.ts';

/** Runs one command line; what stops it is a sentence (`CannotStart`, `Misused`). */
export async function runRoostctl(args: readonly string[], desk: Desk): Promise<void> {
  const program = programOf(desk);
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (!isCommanderError(error)) throw error;
    if (error.exitCode === 0) return;
    throw new Misused(sentenceOf(error), { cause: error });
  }
}

/** Under Jest errors of other realms come by. */
function isCommanderError(error: unknown): error is CommanderError {
  return (
    error instanceof CommanderError || (isNativeError(error) && error.name === 'CommanderError')
  );
}

function sentenceOf({ code, message }: CommanderError): string {
  if (code === 'commander.help') return 'say what to do: see --help';
  const [said = ''] = message.replace(/^error: /, '').split('\n');
  const hint = /\(Did you mean .*\)/.exec(message)?.[0];
  return `${said.replace(/\.$/, '')}${hint === undefined ? '' : ` ${hint}`}: see --help`;
}

function programOf(desk: Desk): Command {
  const program = new Command('roostctl')
    .description('Orders for a homeserver.')
    .exitOverride()
    .configureOutput({ writeOut: desk.write, writeErr: () => undefined })
    .configureHelp({ helpWidth: 110, showGlobalOptions: true, sortSubcommands: false })
    .option(
      '--data <folder>',
      'one that runs all in one on this data folder (else as npm start takes it)',
    )
    .option(
      '--address <list>',
      'where services of their own are: as=host:port,aas=host:port,qs=…,ds=…,federation-gateway=…',
    )
    .option('--certificates <folder>', 'operator.crt, operator.key and ca.crt, for --address')
    .option('--domain <name>', 'the home domain, for --address')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
--address, --certificates and --domain may also be ROOSTCTL_ADDRESS, ROOSTCTL_CERTIFICATES and
ROOSTCTL_DOMAIN in the environment.
Ends with 0 when it is done, with 1 when it was refused or found something wrong, with 2 when the command
line makes no sense.
${examples('invites create --count 5', 'users show alice', 'federation allow b.example', 'outbox --json')}`,
    );
  addInvites(program, desk);
  addUsers(program, desk);
  addFederation(program, desk);
  addAudit(program, desk);
  addKeys(program, desk);
  addDepths(program, desk);
  addBackup(program, desk);
  addCertificates(program, desk);
  addChart(program, desk);
  return program;
}
