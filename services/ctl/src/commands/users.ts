import type { Command } from 'commander';
import { assert } from '@roost/core/assert';
import { ClientId, printId, UserId } from '@roost/core/ids';
import {
  AuthenticationAdminServiceDefinition,
  type ClientSummary,
  type UserSummary,
} from '@roost/proto/roost/authentication/v1/authentication';
import { Misused } from '@roost/service/run';
import { ask, type Desk, type Door, examples, group, placeFor, tell } from '../desk.ts';
import { table, yesNo } from '../output.ts';
import { userChoice, wholeNumber } from '../values.ts';

const AS: Door<typeof AuthenticationAdminServiceDefinition> = {
  service: 'as',
  definition: AuthenticationAdminServiceDefinition,
};

const WHO = '<user>';
const WHO_IS = 'name, name@domain or id';

/** What operators do about users. */
export function addUsers(program: Command, desk: Desk): void {
  const users = group(program, 'users', 'users of this homeserver');
  addList(users, desk);
  addShow(users, desk);
  addSuspension(users, desk);
  addLimits(users, desk);
  addDelete(users, desk);
}

function addList(users: Command, desk: Desk): void {
  users
    .command('list')
    .description('all users, by name')
    .option('--prefix <text>', 'only names that begin so', '')
    .option('--suspended', 'only those that are suspended')
    .addHelpText(
      'after',
      examples('users list', 'users list --prefix al', 'users list --suspended'),
    )
    .action(async (options: { prefix: string; suspended?: boolean }, command: Command) => {
      const { prefix, suspended: isSuspended = false } = options;
      const found = await ask(placeFor(desk, command), AS, async (admin) => {
        const all: UserSummary[] = [];
        for (let hasMore = true; hasMore;) {
          const after = all.at(-1)?.userName ?? '';
          const page = await admin.listUsers({ after, prefix, isSuspended });
          all.push(...page.users);
          hasMore = page.hasMore && page.users.length > 0;
        }
        return all;
      });
      const rows = found.map((user) => [
        ...[user.userName, yesNo(user.isSuspended), user.clients],
        ...[limit(user.generalAllowance), limit(user.contactAllowance), idOf(user)],
      ]);
      const header = ['NAME', 'SUSPENDED', 'CLIENTS', 'GENERAL', 'CONTACT', 'ID'];
      tell(desk, command, { text: table(header, rows), json: found.map(userJson) });
    });
}

function addShow(users: Command, desk: Desk): void {
  users
    .command('show')
    .argument(WHO, WHO_IS)
    .description('what is known of a user')
    .addHelpText('after', examples('users show alice', 'users show alice@example.org --json'))
    .action(async (who: string, _, command: Command) => {
      const user = userChoice(who);
      const shown = await ask(placeFor(desk, command), AS, (admin) => admin.getUser({ user }));
      const lines = shown.clients.map((each) => [
        ...[clientIdOf(each), monthName(each.activeMonth), each.directMessages],
      ]);
      const text =
        described(given(shown.user), `found by name: ${yesNo(shown.isSearchable)}\n`) +
        `\n${table(['CLIENT', 'LAST USED', 'DIRECT MESSAGES'], lines)}`;
      const json = {
        ...userJson(given(shown.user)),
        isSearchable: shown.isSearchable,
        clients: shown.clients.map((each) => ({
          id: clientIdOf(each),
          lastUsed: monthName(each.activeMonth),
          directMessages: each.directMessages,
        })),
      };
      tell(desk, command, { text, json });
    });
}

function addSuspension(users: Command, desk: Desk): void {
  for (const [verb, isSuspended, description] of SUSPENSIONS) {
    users
      .command(verb)
      .argument(WHO, WHO_IS)
      .description(description)
      .addHelpText('after', examples(`users ${verb} alice`))
      .action(async (who: string, _, command: Command) => {
        const user = userChoice(who);
        const changed = await ask(placeFor(desk, command), AS, (admin) =>
          admin.setUserSuspended({ user, isSuspended }),
        );
        const json = userJson(given(changed.user));
        tell(desk, command, { text: described(given(changed.user)), json });
      });
  }
}

const SUSPENSIONS = [
  [
    ...(['suspend', true] as const),
    'end at once what a user does here: no tokens, no calls to the AS, not found by name; tokens that it drew run out',
  ],
  ['unsuspend', false, 'let a suspended user go on'],
] as const;

interface LimitOptions {
  readonly general?: number | 'default';
  readonly contact?: number | 'default';
}

function addLimits(users: Command, desk: Desk): void {
  users
    .command('limits')
    .argument(WHO, WHO_IS)
    .description('how many tokens a user may draw a day; without options they are only shown')
    .option(
      '--general <n>',
      'for most calls; "default" for the homeserver’s rule',
      limitOf('--general'),
    )
    .option('--contact <n>', 'for discovery and requests; "default" likewise', limitOf('--contact'))
    .addHelpText(
      'after',
      examples('users limits alice', 'users limits alice --general 20000 --contact default'),
    )
    .action(async (who: string, options: LimitOptions, command: Command) => {
      const user = userChoice(who);
      const changed = await ask(placeFor(desk, command), AS, async (admin) => {
        const before = given((await admin.getUser({ user })).user);
        if (options.general === undefined && options.contact === undefined) return before;
        const answer = await admin.setUserAllowances({
          user,
          generalAllowance: chosen(options.general, before.generalAllowance),
          contactAllowance: chosen(options.contact, before.contactAllowance),
        });
        return given(answer.user);
      });
      tell(desk, command, { text: described(changed), json: userJson(changed) });
    });
}

function addDelete(users: Command, desk: Desk): void {
  users
    .command('delete')
    .argument(WHO, WHO_IS)
    .description(
      'delete an account and its clients for ever; the name is never given to anybody else',
    )
    .option('--yes', 'it is meant')
    .addHelpText('after', examples('users delete alice --yes'))
    .action(async (who: string, { yes }: { yes?: boolean }, command: Command) => {
      if (yes !== true) throw new Misused(`this deletes "${who}" for ever: add --yes`);
      const user = userChoice(who);
      const { clients } = await ask(placeFor(desk, command), AS, (admin) =>
        admin.deleteUser({ user }),
      );
      tell(desk, command, { text: `deleted, with ${clients} clients\n`, json: { clients } });
    });
}

function limitOf(option: string): (text: string) => number | 'default' {
  return (text) => (text === 'default' ? text : wholeNumber(option, 0, 10_000_000)(text));
}

function chosen(wanted: number | 'default' | undefined, before: number | undefined) {
  if (wanted === undefined) return before;
  return wanted === 'default' ? undefined : wanted;
}

function given(user: UserSummary | undefined): UserSummary {
  assert(user !== undefined, 'the AS tells the user that it was asked for');
  return user;
}

function described(user: UserSummary, more = ''): string {
  return (
    `name: ${user.userName}\nid: ${idOf(user)}\nsuspended: ${yesNo(user.isSuspended)}\n` +
    `${more}clients: ${user.clients}\n` +
    `tokens a day: general ${limit(user.generalAllowance)}, contact ${limit(user.contactAllowance)}\n`
  );
}

function userJson(user: UserSummary) {
  return {
    id: idOf(user),
    name: user.userName,
    isSuspended: user.isSuspended,
    clients: user.clients,
    generalAllowance: user.generalAllowance ?? null,
    contactAllowance: user.contactAllowance ?? null,
  };
}

function limit(value: number | undefined): string {
  return value === undefined ? 'default' : String(value);
}

function idOf(user: UserSummary): string {
  return printId(UserId.parse(user.userId, 'user_id'));
}

function clientIdOf({ clientId }: ClientSummary): string {
  return ClientId.parse(clientId, 'client_id').uuid;
}

/** Months since 1970-01. */
function monthName(month: number): string {
  return `${1970 + Math.floor(month / 12)}-${String((month % 12) + 1).padStart(2, '0')}`;
}
