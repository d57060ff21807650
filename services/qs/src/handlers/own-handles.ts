import { Failure } from '@roost/core/failure';
import type { Executor } from '@roost/postgres/executor';
import { lockHandles } from '../store/handles.ts';
import type { Dependencies } from './dependencies.ts';
import { assertCount, assertDistinct, parseBytes } from './parse.ts';

const HANDLES_MAX = 100;

/** What we keep of the handles that a request names. */
export function parseHandleHashes(
  { crypto }: Pick<Dependencies, 'crypto'>,
  handles: readonly Uint8Array[],
): Uint8Array[] {
  assertCount(handles.length, HANDLES_MAX, 'handles');
  const hashes = handles.map((handle) => crypto.sha256(parseBytes(handle, 32, 'handles')));
  assertDistinct(hashes, 'handles');
  return hashes;
}

/** Members of a group see handles: nobody learns here whether somebody else's is in use. */
export async function lockOwnHandles(
  tx: Executor,
  clientId: bigint,
  hashes: readonly Uint8Array[],
): Promise<void> {
  const rows = await lockHandles(tx, hashes);
  const own = rows.filter((row) => row.clientId === clientId);
  if (own.length === hashes.length) return;
  throw new Failure('QUEUE_UNKNOWN', 'one of these handles is not registered by this client');
}
