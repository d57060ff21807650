import type { Command } from 'commander';
import { DeliveryAdminServiceDefinition } from '@roost/proto/roost/delivery/v1/admin';
import { QueueAdminServiceDefinition } from '@roost/proto/roost/queue/v1/admin';
import { ask, type Desk, type Door, examples, placeFor, tell } from '../desk.ts';
import { size, span, table, yesNo } from '../output.ts';

const QS: Door<typeof QueueAdminServiceDefinition> = {
  service: 'qs',
  definition: QueueAdminServiceDefinition,
};
const DS: Door<typeof DeliveryAdminServiceDefinition> = {
  service: 'ds',
  definition: DeliveryAdminServiceDefinition,
};

/** What waits: numbers and ages, and nothing of whose it is. */
export function addDepths(program: Command, desk: Desk): void {
  program
    .command('queues')
    .description('how full the queues of clients are')
    .addHelpText('after', examples('queues', 'queues --json'))
    .action(async (_, command: Command) => {
      const told = await ask(placeFor(desk, command), QS, (admin) => admin.measureQueues({}));
      const rows = told.steps.map(({ unread, queues }) => [unread, queues]);
      const text =
        `queues: ${told.queues}\nunread messages: ${told.unread}\n` +
        `oldest unread: ${told.oldestDays} days\nlisteners at this replica: ${told.listeners}\n` +
        `dead letters: ${told.deadLetters}\n\n${table(['UNREAD, AT LEAST', 'QUEUES'], rows)}`;
      tell(desk, command, { text, json: told });
    });
  program
    .command('outbox')
    .description('what the delivery service has yet to hand over (for peers: federation outbox)')
    .addHelpText('after', examples('outbox', 'outbox --json'))
    .action(async (_, command: Command) => {
      const told = await ask(placeFor(desk, command), DS, (admin) => admin.measureOutbox({}));
      const sum = told.partitions.reduce((all, { rows }) => all + rows, 0n);
      const rows = told.partitions.map(({ partition, rows: count, bytes, isCarried }) => [
        ...[partition, count, size(bytes), yesNo(isCarried)],
      ]);
      const text =
        `waiting: ${sum}\noldest waits at least: ${span(told.oldestAgeMs)}\n` +
        `senders are asked to come back: ${yesNo(told.isFull)}\n\n` +
        table(['PARTITION', 'EVENTS', 'BYTES', 'CARRIED'], rows);
      tell(desk, command, { text, json: told });
    });
}
