import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { decodeGroupEvent } from '@roost/bus/group-event';
import { emptyState, openRun, passOver, type QueueItem, type QueueReader } from '@roost/bus/queue';
import type {
  DirectQueueMessage,
  ListenDirectResponse,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { ListenResponse, QueueRun } from '@roost/proto/roost/queue/v1/queue';
import { accountOf, type Core } from './core.ts';
import { openDirect, type OpenedDirect, receiveDirect } from './direct.ts';
import { openLater } from './direct-later.ts';
import type { KeyPackages } from './key-packages.ts';
import type { Turn } from './ledger.ts';
import type { Following } from './listener.ts';
import { forgetPassed } from './mls-config.ts';
import { remakeQueueRecords } from './queue-records.ts';
import { afterRestore, isRestoredJump } from './restored.ts';
import { receive } from './rooms.ts';
import { behind } from './standing.ts';
import { clientSigner, qsClientSigner } from './signers.ts';
import { directReaders, queueReaders, SELF, states } from './state.ts';

/**
 * The queue of the QS. A run is taken in by one turn, with the step of its ratchet: after a kill it
 * is either taken or comes again.
 */
export function queueFollowing(core: Core, keyPackages: KeyPackages): Following<ListenResponse> {
  const { queue } = core.caller.services;
  const price = () => ({ token: 'general' as const, sign: qsClientSigner(core) });
  const next = (): bigint => readerOf(core).next;
  return {
    open: (signal) =>
      orRemade(core, keyPackages, {
        signal,
        stream: core.caller.follow({ ...price(), signal }, (options) =>
          queue.listen({ fromSequence: next() }, options),
        ),
      }),
    async take({ runs }) {
      let count = 0;
      for (const run of runs) count += await takeRun(core, keyPackages, run);
      return count;
    },
    async acknowledge() {
      const request = { belowSequence: next() };
      await core.caller.ask(price(), (options) => queue.ack(request, options));
    },
    reconnectWithinMs: ({ reconnectWithinMs }) => reconnectWithinMs,
  };
}

/** Cores whose records the QS knows: who is not believed all the same need not ask again. */
const isKnown = new WeakSet<Core>();

/** A QS that does not know our key may have been restored from a backup of before it heard of us. */
async function* orRemade<M>(
  core: Core,
  keyPackages: KeyPackages,
  { signal, stream }: { readonly signal: AbortSignal; readonly stream: AsyncIterable<M> },
): AsyncGenerator<M> {
  try {
    yield* stream;
  } catch (error) {
    const isRefused = error instanceof Failure && error.reason === 'UNAUTHENTICATED';
    if (isRefused && !signal.aborted && !isKnown.has(core)) {
      const isRemade = await remakeQueueRecords(core);
      if (!isRemade) isKnown.add(core);
      // First what there is of last resort, then a pool of others.
      if (isRemade) void keyPackages.refill().then(() => keyPackages.refill(0), core.report);
    }
    throw error;
  }
}

/** The direct queue of the AS: requests to connect, and answers to ours. */
export function directFollowing(core: Core): Following<ListenDirectResponse> {
  const { authentication } = core.caller.services;
  const price = () => ({ token: 'general' as const, sign: clientSigner(core) });
  const next = (): bigint => core.ledger.get(directReaders, SELF)?.next ?? 0n;
  return {
    open: (signal) =>
      core.caller.follow({ ...price(), signal }, (options) =>
        authentication.listenDirect({ fromSequence: next() }, options),
      ),
    async take({ messages }) {
      for (const message of messages) await takeDirect(core, message);
      return messages.length;
    },
    async acknowledge() {
      const request = { belowSequence: next() };
      await core.caller.ask(price(), (options) => authentication.ackDirect(request, options));
    },
    reconnectWithinMs: ({ reconnectWithinMs }) => reconnectWithinMs,
  };
}

async function takeRun(core: Core, keyPackages: KeyPackages, run: QueueRun): Promise<number> {
  return core.ledger.turn(async (turn) => {
    const reader = turn.get(queueReaders, SELF);
    assert(reader !== undefined, 'a queue that is followed has a reader');
    const end = run.firstSequence + BigInt(run.count);
    if (end <= reader.next) return 0;
    const items = openOrSkip(core, turn, reader, run);
    for (const item of items) await takeItem(core, turn, keyPackages, item);
    return run.count;
  });
}

/** Opens a run. One that does not open is passed over, and what it held is fetched by the logs. */
function openOrSkip(
  core: Core,
  turn: Turn,
  reader: QueueReader,
  run: QueueRun,
): readonly QueueItem[] {
  const { privateKey } = accountOf(core).queueKey;
  try {
    const { items, next, state } = openRun(core.crypto, reader, privateKey, run);
    turn.put(queueReaders, SELF, { next, state });
    if (run.firstSequence > reader.next) behind(core, turn);
    if (isRestoredJump(reader.next, run.firstSequence)) afterRestore(core, turn);
    return items;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    core.report(error);
    turn.put(queueReaders, SELF, passOver(core.crypto, reader, run));
    behind(core, turn);
    if (isRestoredJump(reader.next, run.firstSequence)) afterRestore(core, turn);
    return [];
  }
}

async function takeItem(
  core: Core,
  turn: Turn,
  keyPackages: KeyPackages,
  item: QueueItem,
): Promise<void> {
  switch (item.kind) {
    case 'event':
      // One event that nobody can read must not stop the ones behind it.
      await turn
        .attempt(async () => await receive(core, turn, item.groupEvent))
        .then(() => passed(turn, item.groupEvent))
        .catch(core.report);
      return;
    case 'gap':
      core.news.put(turn, { kind: 'lost', count: Number(item.events) });
      behind(core, turn);
      return;
    case 'low-water':
      turn.after(() => void keyPackages.refill(item.available).catch(core.report));
  }
}

/** Behind this event the queue holds nothing of the epochs long before it. */
function passed(turn: Turn, encoded: Uint8Array): void {
  const { groupId, kind, epoch } = decodeGroupEvent(encoded);
  const lane = printId(groupId);
  const state = turn.get(states, lane);
  if (state === undefined || kind === 'welcome') return;
  const after = forgetPassed(state, kind === 'commit' ? epoch + 1n : epoch);
  if (after !== state) turn.put(states, lane, after);
}

async function takeDirect(core: Core, { sequence, sections }: DirectQueueMessage): Promise<void> {
  const isNew = sequence >= (core.ledger.get(directReaders, SELF)?.next ?? 0n);
  if (!isNew) return;
  let opened: OpenedDirect | 'later' | undefined;
  try {
    // What has to be asked for first must not keep what lies behind it waiting.
    opened = core.trust.judgeNow(() => openDirect(core, sections)) ?? 'later';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    core.report(error);
  }
  await core.ledger.turn((turn) => {
    turn.put(directReaders, SELF, { next: sequence + 1n });
    if (opened === 'later') openLater(core, turn, sections);
    else if (opened !== undefined) receiveDirect(core, turn, opened);
  });
}

function readerOf(core: Core): QueueReader {
  return core.ledger.get(queueReaders, SELF) ?? { next: 0n, state: emptyState };
}
