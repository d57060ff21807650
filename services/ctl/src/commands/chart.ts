import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { CannotStart } from '@roost/core/cannot-start';
import { systemClock } from '@roost/core/time';
import type { Environment } from '@roost/service/config';
import { Misused } from '@roost/service/run';
import { type Desk, examples } from '../desk.ts';
import { natsConfigOf } from '../nats-config.ts';
import { parsePlan } from '../provision/plan.ts';
import { type Account, kubernetesVault } from '../provision/vault.ts';

/** What the chart has done. */
export function addChart(program: Command, desk: Desk): void {
  program
    .command('provision')
    .description(
      'in a pod of Kubernetes: make the Secrets of a plan (the chart’s) that are not there, and renew certificates that are due',
    )
    .requiredOption('--plan <file>', 'which plan')
    .addHelpText('after', examples('provision --plan /plan/plan.json'))
    .action(async ({ plan }: { plan: string }) => {
      // Loaded where it is used: what makes certificates is slow to load.
      const { provision } = await import('../provision/provision.ts');
      const done = await provision(
        parsePlan(await readFile(plan, 'utf8')),
        kubernetesVault(accountOf(desk.environment)),
        systemClock,
      );
      desk.write(done.length === 0 ? 'everything is there\n' : `${done.join('\n')}\n`);
    });
  program
    .command('nats-config')
    .description(
      'the configuration of a NATS server for a homeserver; passwords come from its environment (NATS_PASSWORD_AS, _DS, _QS, with --federation _FEDERATION_GATEWAY)',
    )
    .option('--prefix <name>', 'what subjects begin with', prefixOf, 'roost')
    .option('--routes <list>', 'host:port of each server’s cluster port, with commas between')
    .option('--federation', 'with a user for the gateway to other homeservers')
    .option('--out <file>', 'where to; otherwise it is printed')
    .addHelpText('after', examples('nats-config --routes nats-0:6222,nats-1:6222,nats-2:6222'))
    .action(async ({ prefix, routes, federation: isFederated = false, out }: NatsOptions) => {
      const servers = routes?.split(',') ?? [];
      const config = `${natsConfigOf({ prefix, routes: servers, isFederated })}\n`;
      if (out === undefined) desk.write(config);
      else await writeFile(out, config);
    });
}

interface NatsOptions {
  readonly prefix: string;
  readonly routes?: string;
  readonly federation?: boolean;
  readonly out?: string;
}

function prefixOf(text: string): string {
  if (/^[A-Za-z0-9_-]{1,32}$/.test(text)) return text;
  throw new Misused('--prefix: give letters, digits, - and _');
}

/** As every pod with a service account finds it. */
function accountOf(environment: Environment): Account {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (host === undefined || port === undefined) {
    throw new CannotStart('this is no pod of Kubernetes: provision is run by the chart');
  }
  const api = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { api, folder: '/var/run/secrets/kubernetes.io/serviceaccount' };
}
