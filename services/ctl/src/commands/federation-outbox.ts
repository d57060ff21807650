import type { Command } from 'commander';
import {
  type DeadLetter,
  FederationAdminServiceDefinition,
} from '@roost/proto/roost/federation/v1/admin';
import { ask, type Desk, type Door, examples, placeFor, tell } from '../desk.ts';
import { size, span, table, time } from '../output.ts';
import { peerDomain } from '../values.ts';

const GATEWAY: Door<typeof FederationAdminServiceDefinition> = {
  service: 'federation-gateway',
  definition: FederationAdminServiceDefinition,
};

/** What waits for other homeservers, and what was given up. */
export function addOutbox(federation: Command, desk: Desk): void {
  federation
    .command('outbox')
    .description('what waits for each homeserver, the fullest first')
    .addHelpText('after', examples('federation outbox'))
    .action(async (_, command: Command) => {
      const { lanes } = await ask(placeFor(desk, command), GATEWAY, (admin) =>
        admin.listOutbox({}),
      );
      const now = BigInt(Date.now());
      const rows = lanes.map((lane) => [
        ...[lane.domain, lane.events, size(lane.bytes), span(now - lane.oldestMs)],
        ...[lane.failures, lane.nextTryMs === 0n ? 'now' : time(lane.nextTryMs)],
      ]);
      const header = ['DOMAIN', 'EVENTS', 'BYTES', 'OLDEST', 'FAILURES', 'NEXT TRY'];
      tell(desk, command, { text: table(header, rows), json: lanes });
    });
  federation
    .command('dead-letters')
    .argument('[domain]', 'only for this homeserver')
    .description('what was given up; receivers know that something is missing')
    .addHelpText('after', examples('federation dead-letters', 'federation dead-letters b.example'))
    .action(async (wanted: string | undefined, _, command: Command) => {
      const domain = wanted === undefined ? '' : peerDomain(wanted);
      const letters = await ask(placeFor(desk, command), GATEWAY, async (admin) => {
        const all: DeadLetter[] = [];
        for (let hasMore = true; hasMore;) {
          const page = await admin.listDeadLetters({ domain, after: all.at(-1)?.number ?? 0n });
          all.push(...page.letters);
          hasMore = page.hasMore && page.letters.length > 0;
        }
        return all;
      });
      const rows = letters.map((each) => [
        ...[each.number, each.domain, each.reason, time(each.atMs), size(each.bytes)],
      ]);
      const text = table(['NUMBER', 'DOMAIN', 'REASON', 'GIVEN UP', 'SIZE'], rows);
      tell(desk, command, { text, json: letters });
    });
  federation
    .command('retry')
    .argument('<domain>')
    .description('try what waits for a homeserver now, whatever pause it was given')
    .addHelpText('after', examples('federation retry b.example'))
    .action(async (domain: string, _, command: Command) => {
      const request = { domain: peerDomain(domain) };
      await ask(placeFor(desk, command), GATEWAY, (admin) => admin.retryPeer(request));
      tell(desk, command, { text: `${domain} is tried now\n`, json: { domain } });
    });
}
