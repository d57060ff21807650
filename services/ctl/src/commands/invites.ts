import type { Command } from 'commander';
import { AuthenticationAdminServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { ask, type Desk, type Door, examples, group, placeFor, tell } from '../desk.ts';
import { wholeNumber } from '../values.ts';

const AS: Door<typeof AuthenticationAdminServiceDefinition> = {
  service: 'as',
  definition: AuthenticationAdminServiceDefinition,
};

/** Codes by which strangers may register. */
export function addInvites(program: Command, desk: Desk): void {
  const invites = group(program, 'invites', 'codes for registration');
  invites
    .command('create')
    .description('make single-use codes, one a line; they are shown this once')
    .option('--count <n>', 'how many', wholeNumber('--count', 1, 1_000), 1)
    .option('--days <n>', 'for how long they are good', wholeNumber('--days', 1, 365), 30)
    .addHelpText('after', examples('invites create', 'invites create --count 20 --days 7'))
    .action(async ({ count, days }: { count: number; days: number }, command: Command) => {
      const { codes } = await ask(placeFor(desk, command), AS, (admin) =>
        admin.createInvites({ count, validDays: days }),
      );
      tell(desk, command, { text: codes.map((code) => `${code}\n`).join(''), json: { codes } });
    });
  invites
    .command('list')
    .description('how many codes are open, used and expired')
    .addHelpText('after', examples('invites list'))
    .action(async (_, command: Command) => {
      const { open, used, expired } = await ask(placeFor(desk, command), AS, (admin) =>
        admin.listInvites({}),
      );
      const text = `open ${open}\nused ${used}\nexpired ${expired}\n`;
      tell(desk, command, { text, json: { open, used, expired } });
    });
}
