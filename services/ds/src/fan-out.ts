import {
  partitionOf,
  PART_BYTES_MAX,
  RECIPIENTS_MAX,
  firstPair,
  sealFanOut,
} from '@roost/bus/frames';
import { nextNumber } from '@roost/bus/numbering';
import { traceBytes } from '@roost/bus/trace';
import { concat, utf8 } from '@roost/core/bytes';
import type { Domain, GroupId } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import type { Executor } from '@roost/postgres/executor';
import type { Backlog } from './backlog.ts';
import { cutParts } from './domain/parts.ts';
import type { Member, QueueConfig } from './domain/roster.ts';
import { insertOutbox } from './store/outbox.ts';
import type { Head, OutboxRow } from './store/outbox.ts';

/** One event and who gets it. */
export interface Delivery {
  readonly recipients: readonly Addressee[];
  /** A GroupEvent; empty where each recipient has its own. */
  readonly groupEvent: Uint8Array;
  /** Where it is shown, if it is; where nothing is said, with whoever adds it. */
  readonly trace?: Uint8Array | undefined;
}

export interface Addressee {
  readonly queue: QueueConfig;
  /** The recipient's own GroupEvent; empty where it gets the shared one. */
  readonly extra: Uint8Array;
}

/** What numbers and seals need, from outside the database. */
export interface FanOutKeys {
  readonly crypto: Crypto;
  readonly transportKey: Uint8Array;
  readonly incarnation: number;
  /** Knows for whom there is room, and is told of each row of the outbox. */
  readonly backlog: Pick<Backlog, 'admit'>;
}

/** The partitions that have something for our own QS, and those that have something for other homeservers. */
export interface PartitionsToCarry {
  readonly home: ReadonlySet<number>;
  readonly away: ReadonlySet<number>;
}

/** How a queue is noted where its key is not at hand: the handle, and whose homeserver it belongs to. */
export function queueDigest(
  { crypto, transportKey }: Pick<FanOutKeys, 'crypto' | 'transportKey'>,
  { domain, handle }: Pick<QueueConfig, 'domain' | 'handle'>,
): Uint8Array<ArrayBuffer> {
  return crypto.hmacSha256(transportKey, concat(HANDLE_LABEL, handle, utf8(domain)));
}

/** All members but the sender: its siblings hear of it like everybody else. */
export function toOthers(members: readonly Member[], sender: number | undefined): Addressee[] {
  return members
    .filter(({ leafIndex }) => leafIndex !== sender)
    .map(({ queue }) => ({ queue, extra: NOTHING }));
}

/** The outbox rows of one transaction, numbered on from the heads that it read under its locks. */
export class OutboxDraft {
  readonly #keys: FanOutKeys;
  readonly #heads: Map<string, Head>;
  readonly #changed = new Map<string, Head & { readonly partition: number }>();
  readonly #rows: OutboxRow[] = [];
  /** The hub of all groups. */
  #home: Domain | undefined;

  constructor(keys: FanOutKeys, heads: readonly Head[]) {
    this.#keys = keys;
    this.#heads = new Map(heads.map((head) => [nameOf(head), head]));
  }

  /** Events are numbered in the order in which they are added. */
  add(groupId: GroupId, { recipients, groupEvent, trace = traceBytes() }: Delivery): void {
    const partition = partitionOf(this.#keys.crypto, groupId);
    this.#home = groupId.domain;
    const destinations = Map.groupBy(recipients, ({ queue }) => queue.domain);
    for (const [destination, those] of destinations) {
      for (const part of cutParts(those, PART_LIMITS)) {
        this.#addPart({ groupId, destination, partition }, { recipients: part, groupEvent, trace });
      }
    }
  }

  /** Where something is to be carried from now. */
  get partitions(): PartitionsToCarry {
    const [home, away] = [new Set<number>(), new Set<number>()];
    for (const { partition, destination } of this.#rows) {
      (this.#home === destination ? home : away).add(partition);
    }
    return { home, away };
  }

  async write(tx: Executor): Promise<void> {
    await insertOutbox(tx, this.#rows, [...this.#changed.values()]);
  }

  #addPart({ groupId, destination, partition }: PartPlace, delivery: Delivery): void {
    const { crypto, transportKey, incarnation } = this.#keys;
    const id = groupId.uuid;
    const name = nameOf({ id, destination });
    const head = this.#heads.get(name)?.pair ?? firstPair;
    const numbered = nextNumber(head, incarnation);
    const recipients = delivery.recipients.map(({ queue, extra }) => ({
      handle: queue.handle,
      pushKey: queue.pushKey,
      extra,
    }));
    const { groupEvent, trace } = delivery;
    const sealed = sealFanOut(
      crypto,
      transportKey,
      { groupId, ...numbered },
      { trace, recipients, groupEvent },
    );
    if (this.#keys.backlog.admit(destination, sealed.length)) {
      this.#rows.push({ id, destination, partition, ...numbered, sealed });
    }
    const advanced = { id, destination, partition, pair: numbered.number };
    this.#heads.set(name, advanced);
    this.#changed.set(name, advanced);
  }
}

interface PartPlace {
  readonly groupId: GroupId;
  readonly destination: Domain;
  readonly partition: number;
}

const NOTHING = new Uint8Array(0);
const HANDLE_LABEL = utf8('Roost 1.0 DeadQueue');
const PART_LIMITS = { recipientsMax: RECIPIENTS_MAX, bytesMax: PART_BYTES_MAX };

function nameOf({ id, destination }: Pick<Head, 'id' | 'destination'>): string {
  return `${id} ${destination}`;
}
