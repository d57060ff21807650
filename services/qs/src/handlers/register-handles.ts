import { bindingOf } from '@roost/bus/queue-config';
import { equal, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { GroupId, type Domain } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import type { Handle } from '@roost/proto/roost/queue/v1/queue';
import { callingQsClient } from '@roost/rpc/service';
import { queueUnknown } from '../records.ts';
import {
  bindHandles,
  countHandles,
  insertHandles,
  lockHandles,
  type HandleRow,
} from '../store/handles.ts';
import { spendNonce } from '../store/housekeeping.ts';
import { lockForReader } from '../store/queues.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { assertCount, assertDistinct, callingNonce, parseBytes } from './parse.ts';

const HANDLES_MAX = 100;

interface WantedHandle {
  readonly hash: Uint8Array;
  readonly binding: Uint8Array | null;
  readonly hub: Domain | null;
}

export function registerHandles(deps: Dependencies): QueueHandlers['registerHandles'] {
  const { database, clock, limits, records } = deps;
  return async (request, context) => {
    assertCount(request.handles.length, HANDLES_MAX, 'handles');
    const wanted = request.handles.map((handle) => parseHandle(deps, handle));
    assertDistinct(
      wanted.map(({ hash }) => hash),
      'handles',
    );
    const { clientId } = await records.client(callingQsClient(context));
    const nonce = callingNonce(context);

    await database.transaction(async (tx) => {
      await spendNonce(tx, nonce, new Date(clock.now()));
      if ((await lockForReader(tx, clientId)) === undefined) throw queueUnknown();
      await ensureHandles(tx, clientId, wanted);
      const [handles] = await countHandles(tx, clientId);
      if (handles !== undefined && handles.count > BigInt(limits.handlesMax)) {
        throw new Failure('LIMIT_REACHED', `a client has at most ${limits.handlesMax} handles`);
      }
    });

    return {};
  };
}

function parseHandle({ crypto, records }: Dependencies, wire: Handle): WantedHandle {
  const handle = parseBytes(wire.handle, 32, 'handles.handle');
  const hash = crypto.sha256(handle);
  if (wire.binding === undefined) return { hash, binding: null, hub: null };
  const groupId = GroupId.parse(wire.binding.groupId, 'handles.binding.group_id');
  records.assertHub(groupId.domain);
  return { hash, binding: bindingOf(crypto, handle, groupId), hub: groupId.domain };
}

async function ensureHandles(
  tx: Executor,
  clientId: bigint,
  wanted: readonly WantedHandle[],
): Promise<void> {
  const inserted = await insertHandles(
    tx,
    clientId,
    wanted.map(({ hash }) => hash),
    wanted.map(({ binding }) => binding),
    wanted.map(({ hub }) => hub),
    wanted.map(() => false),
  );
  const isNew = new Set(inserted.map(({ hash }) => toHex(hash)));
  const others = wanted.filter(({ hash }) => !isNew.has(toHex(hash)));
  if (others.length === 0) return;
  const rows = await lockHandles(
    tx,
    others.map(({ hash }) => hash),
  );
  const found = new Map(rows.map((row) => [toHex(row.hash), row]));
  for (const { hash, binding } of others) assertSame(clientId, found.get(toHex(hash)), binding);
  await bindHandles(
    tx,
    others.map(({ hash }) => hash),
    others.map(({ binding }) => binding),
    others.map(({ hub }) => hub),
  );
}

/** A handle that is there is the caller's own, and is bound once. */
function assertSame(
  clientId: bigint,
  row: HandleRow | undefined,
  binding: Uint8Array | null,
): void {
  if (row?.clientId !== clientId) throw new Failure('ALREADY_EXISTS', 'a handle is in use');
  if (binding === null) return;
  const isOther = row.binding !== null && !equal(row.binding, binding);
  if (isOther || row.isLastResort) {
    throw new Failure('ID_REUSED', 'a handle is bound otherwise');
  }
}
