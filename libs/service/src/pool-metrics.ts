import type { Database } from '@roost/postgres/database';
import { gauge } from './instruments.ts';

/** How the connections of a service to its database are used. */
export function observePool(service: string, database: Pick<Database, 'connections'>): Disposable {
  return gauge(
    'roost_database_connections',
    'Connections to the database by state, and who waits for one.',
    (observe) => {
      const { open, idle, waiting } = database.connections;
      observe(open - idle, { service, state: 'used' });
      observe(idle, { service, state: 'idle' });
      observe(waiting, { service, state: 'waiting' });
    },
  );
}
