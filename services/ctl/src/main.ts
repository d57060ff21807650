import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { AuthenticationAdminServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { type Client, clientOf, connect } from '@roost/rpc/client';
import { adminSocket, defaultHome } from '@roost/service/home';
import { runMain } from '@roost/service/run';
import { type Command, HELP, parseCommandLine } from './command-line.ts';

type Admin = Client<typeof AuthenticationAdminServiceDefinition>;

await runMain(async () => {
  const { data, command } = parseCommandLine(process.argv.slice(2));
  if (command.kind === 'help') {
    process.stdout.write(HELP);
    return;
  }
  const home = resolve(data ?? defaultHome(process.env));
  const socket = adminSocket(home);
  if (!existsSync(socket)) throw notRunning(home);
  using channel = connect(`unix:${socket}`);
  try {
    const lines = await carryOut(command, clientOf(AuthenticationAdminServiceDefinition, channel));
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // What grpc-js says where the socket was left behind by a process that is gone.
    if (error.message.startsWith('No connection')) throw notRunning(home);
    throw new CannotStart(`refused: ${error.message} (${error.reason})`, { cause: error });
  }
});

async function carryOut(command: Exclude<Command, { kind: 'help' }>, admin: Admin) {
  switch (command.kind) {
    case 'invites-create': {
      const { count, days } = command;
      const { codes } = await admin.createInvites({ count, validDays: days });
      return codes;
    }
    case 'invites-list': {
      const { open, used, expired } = await admin.listInvites({});
      return [`open ${open}`, `used ${used}`, `expired ${expired}`];
    }
  }
}

function notRunning(home: string): CannotStart {
  return new CannotStart(
    `no homeserver answers on ${home}: start it (npm start), or name the folder of the one that runs (--data)`,
  );
}
