import type { Command } from 'commander';
import { type Desk, type Everywhere, examples, tell } from '../desk.ts';
import { ownDomain, wholeNumber } from '../values.ts';

/** What processes of a homeserver know each other by. */
export function addCertificates(program: Command, desk: Desk): void {
  program
    .command('certificates')
    .description(
      'make the certificates by which the processes of a homeserver (--domain) know each other; where the folder has an authority already, new ones are signed by it',
    )
    .requiredOption('--out <folder>', 'where to')
    .option('--days <n>', 'for how long they are good', wholeNumber('--days', 1, 825), 90)
    .addHelpText('after', examples('certificates --domain example.org --out certificates'))
    .action(async (options: { out: string; days: number }, command: Command) => {
      const { domain } = command.optsWithGlobals<Everywhere>();
      const { out: folder, days } = options;
      // Loaded where it is used: what makes certificates is slow to load.
      const { makeCertificates } = await import('../certificates.ts');
      const made = await makeCertificates({ domain: ownDomain(domain), folder, days });
      const text = `made in ${folder}: ${made.join(', ')}\n`;
      tell(desk, command, { text, json: { folder, made } });
    });
}
