import { decodeGroupEvent } from '@roost/bus/group-event';
import { emptyState, openRun, passOver, type QueueItem, type QueueReader } from '@roost/bus/queue';
import { printId } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { QueueRun } from '@roost/proto/roost/queue/v1/queue';
import { digest, type Log } from './log.ts';

/** Reads somebody's queue beside its client, and writes down all that comes. */
export class QueueTap {
  /** The epoch of the last Welcome, by group. */
  readonly welcomed = new Map<string, number>();
  readonly #client: string;
  readonly #log: Log;
  #key: Uint8Array | undefined;
  #reader: QueueReader = { next: 0n, state: emptyState };
  /** What came before the key was known. */
  #early: QueueRun[] = [];

  constructor(client: string, log: Log) {
    this.#client = client;
    this.#log = log;
  }

  /** From here on it can be read. */
  open(queuePrivateKey: Uint8Array): void {
    this.#key = queuePrivateKey;
    this.read(this.#early.splice(0));
  }

  /** The queue goes on from here in a new history. */
  anew(): void {
    if (this.#reader.next > 0n) this.#read(this.#reader.next - 1n, 'the last');
  }

  read(runs: readonly QueueRun[]): void {
    if (this.#key === undefined) {
      this.#early.push(...runs);
      return;
    }
    for (const run of runs) this.#take(run, this.#key);
  }

  #take(run: QueueRun, key: Uint8Array): void {
    // What was read before is only passed over: a stream may begin below.
    if (run.firstSequence + BigInt(run.count) <= this.#reader.next) return;
    const ciphertext = digest(run.ciphertext);
    for (let at = 0; at < run.count; at++) {
      this.#read(run.firstSequence + BigInt(at), `${ciphertext}/${at}`);
    }
    try {
      const { items, ...next } = openRun(crypto, this.#reader, key, run);
      this.#reader = next;
      for (const item of items) this.#arrived(item);
    } catch {
      this.#read(run.firstSequence, 'what does not open');
      this.#reader = passOver(crypto, this.#reader, run);
    }
  }

  #arrived(item: QueueItem): void {
    if (item.kind !== 'event') return;
    const event = decodeGroupEvent(item.groupEvent);
    const member = { client: this.#client, group: this.#log.nameOf(printId(event.groupId)) };
    const epoch = Number(event.epoch);
    if (event.kind === 'welcome') {
      this.welcomed.set(member.group, epoch);
      this.#log.add({ kind: 'joined', seenBy: 'queue', epoch, ...member });
    }
    // Proposals may be the hub's own, which nobody sent.
    if (event.kind !== 'application' && event.kind !== 'commit') return;
    this.#log.add({
      ...{ kind: 'arrived', level: 'queue', what: digest(event.mlsMessage), epoch },
      ...{ isCommit: event.kind === 'commit', ...member },
    });
  }

  #read(sequence: bigint, what: string): void {
    const queue = 'fan-out queue';
    this.#log.add({
      ...{ kind: 'read', client: this.#client, queue, what },
      sequence: Number(sequence),
    });
  }
}
