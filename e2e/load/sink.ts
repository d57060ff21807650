import { MemoryBell } from '@roost/bus/memory';
import { decodeBusBatch, encodeBusAnswer } from '@roost/bus/frames';
import type { Bus } from '@roost/bus/ports';
import { systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { dsDefaults } from '@roost/ds/config';
import { migrations, openDs } from '@roost/ds/service';
import { hubKey } from '@roost/ds/testing/house.fixture';
import { migrate } from '@roost/postgres/migrate';
import type { Transport } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { domain, type House, silent } from './house.ts';

/** A receiver that has everything at once. */
class Sink implements Bus {
  async request(_: number, batch: Uint8Array): Promise<Uint8Array> {
    const { events } = decodeBusBatch(batch);
    const last = new Map(events.map((event) => [event.groupId.uuid, event]));
    const marks = [...last.values()].map(({ groupId, number }) => ({ groupId, mark: number }));
    return encodeBusAnswer({ marks, gone: [] });
  }

  serve(): never {
    throw new Error('nobody serves a sink');
  }
}

/** A DS alone, in the database for bare counterparts; its receiver stores nothing. */
export interface LoneDs extends AsyncDisposable {
  readonly edge: Transport;
  /** Waits until all that was accepted went out. */
  emptied(): Promise<void>;
}

export async function openLoneDs({ bare: database }: House): Promise<LoneDs> {
  await migrate(database, migrations);
  const ds = await openDs(
    { domain, ...dsDefaults },
    {
      ...{ database, crypto, clock: systemClock, log: silent, bus: new Sink() },
      ...{ bell: new MemoryBell(), replica: 'lone' },
      ...{ transportKey: crypto.random(32), incarnation: 1, hubKey },
    },
  );
  return {
    edge: localTransport(ds.bindings, 'edge'),
    async emptied() {
      for (;;) {
        const rows = await database.query({ text: 'SELECT FROM outbox LIMIT 1' });
        if (rows.length === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    [Symbol.asyncDispose]: () => ds.close(),
  };
}
