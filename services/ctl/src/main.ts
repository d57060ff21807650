import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { systemClock } from '@roost/core/time';
import { AuthenticationAdminServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { type Channel, type Client, clientOf, connect, connectPeer } from '@roost/rpc/client';
import { adminSocket, defaultHome } from '@roost/service/home';
import { runMain } from '@roost/service/run';
import { makeCertificates } from './certificates.ts';
import { type Command, HELP, parseCommandLine, type Place } from './command-line.ts';
import { natsConfigOf } from './nats-config.ts';
import { parsePlan } from './provision/plan.ts';
import { provision } from './provision/provision.ts';
import { type Account, kubernetesVault } from './provision/vault.ts';

type Admin = Client<typeof AuthenticationAdminServiceDefinition>;

await runMain(async () => {
  const { place, command } = parseCommandLine(process.argv.slice(2), process.env);
  if (command.kind === 'help') {
    process.stdout.write(HELP);
    return;
  }
  if (command.kind === 'certificates') {
    const made = await makeCertificates(command);
    process.stdout.write(`made in ${command.folder}: ${made.join(', ')}\n`);
    return;
  }
  if (command.kind === 'provision') {
    const done = await provision(
      parsePlan(await readFile(command.plan, 'utf8')),
      kubernetesVault(accountOf(process.env)),
      systemClock,
    );
    process.stdout.write(done.length === 0 ? 'everything is there\n' : `${done.join('\n')}\n`);
    return;
  }
  if (command.kind === 'nats-config') {
    const config = `${natsConfigOf(command)}\n`;
    if (command.file === undefined) process.stdout.write(config);
    else await writeFile(command.file, config);
    return;
  }
  using channel = await reach(place);
  try {
    const lines = await carryOut(command, clientOf(AuthenticationAdminServiceDefinition, channel));
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // What grpc-js says where the socket was left behind by a process that is gone.
    if (error.message.startsWith('No connection')) throw notThere(place);
    throw new CannotStart(`refused: ${error.message} (${error.reason})`, { cause: error });
  }
});

/** As every pod with a service account finds it. */
function accountOf(environment: NodeJS.ProcessEnv): Account {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (host === undefined || port === undefined) {
    throw new CannotStart('this is no pod of Kubernetes: provision is run by the chart');
  }
  const api = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { api, folder: '/var/run/secrets/kubernetes.io/serviceaccount' };
}

async function reach(place: Place): Promise<Channel> {
  if (!('addresses' in place)) {
    const socket = adminSocket(homeOf(place));
    if (!existsSync(socket)) throw notThere(place);
    return connect(`unix:${socket}`);
  }
  const { addresses, certificates, domain } = place;
  const read = (name: string): Promise<string> =>
    readFile(join(certificates, name), 'utf8').catch((error: unknown) => {
      throw new CannotStart(`--certificates: ${name} cannot be read (${String(error)})`);
    });
  const tls = {
    cert: await read('operator.crt'),
    key: await read('operator.key'),
    ca: await read('ca.crt'),
  };
  return connectPeer(addresses, { domain, name: 'as' }, tls);
}

function homeOf({ data }: { readonly data: string | undefined }): string {
  return resolve(data ?? defaultHome(process.env));
}

async function carryOut(command: Command & { kind: `invites-${string}` }, admin: Admin) {
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

function notThere(place: Place): CannotStart {
  if ('addresses' in place) {
    return new CannotStart(
      `nobody answers as the authentication service of ${place.domain} at ${place.addresses.join(', ')}: ` +
        'is it running, and are the certificates its own?',
    );
  }
  return new CannotStart(
    `no homeserver answers on ${homeOf(place)}: start it (npm start), or name the folder of the one that runs (--data)`,
  );
}
