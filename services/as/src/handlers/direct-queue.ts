import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { ClientId, UserId, type Uuid } from '@roost/core/ids';
import { DAY_MS, monthOf } from '@roost/core/time';
import { encode } from '@roost/core/tls';
import type { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import type {
  DirectMessage,
  DirectQueueMessage,
  EnqueueDirectRequest,
  ListenDirectResponse,
} from '@roost/proto/roost/authentication/v1/authentication';
import { callingClient, type Handlers } from '@roost/rpc/service';
import type { Executor } from '@roost/postgres/executor';
import type { SectionType } from '@roost/proto/roost/authentication/v1/authentication';
import { acknowledged, checkRoom } from '../domain/direct-queue.ts';
import { checkSections, decodeSections, encodeSections } from '../domain/sections.ts';
import { bellOf, type Heard, listenerReplaced, RECONNECT_WITHIN_MS } from '../listening.ts';
import * as store from '../store/direct-queues.ts';
import { requireLocal, spendOnce, type Dependencies } from './dependencies.ts';

type DirectHandlers = Pick<
  Handlers<typeof AuthenticationServiceDefinition>,
  'enqueueDirect' | 'dequeueDirect' | 'listenDirect' | 'ackDirect'
>;

/** The direct queue: what strangers say to a user, close to the identity. */
export function directQueueHandlers(parts: Dependencies): DirectHandlers {
  const { bell, clock, crypto, database, limits, listeners } = parts;
  const keyOf = (client: Uuid): string => bellOf(crypto, client);

  const acknowledgeIn = async (tx: Executor, client: Uuid, below: bigint) => {
    const queue = await store.lockQueue(tx, client);
    if (queue === undefined) throw queueUnknown();
    const first = acknowledged(queue, below);
    if (first > queue.first) await store.acknowledge(tx, client, first, monthOf(clock.now()));
    return { ...queue, first };
  };
  const acknowledge = async (client: Uuid, below: bigint): Promise<store.QueueOf> =>
    await database.transaction((tx) => acknowledgeIn(tx, client, below));

  return {
    async enqueueDirect(request) {
      const { user, messages, messageId } = parse(request, parts);
      const hash = crypto.sha256(
        encode((w) => w.vector(messages, (inner, m) => inner.text(m.client).opaque(m.sections))),
      );
      const rung = await database.transaction(async (tx) => {
        const forgetAt = new Date(clock.now() + DAY_MS);
        const message = { userUuid: user.uuid, messageId, hash, forgetAt };
        const earlier = await store.rememberMessage(tx, message);
        if (earlier !== undefined) {
          if (equal(earlier, hash)) return [];
          throw new Failure('ID_REUSED', 'message_id: was used with another message', {
            field: 'message_id',
          });
        }
        const queues = await store.lockQueuesOf(tx, user.uuid);
        const rows = messages.map(({ client, sections }) => {
          const queue = queues.find(({ clientUuid }) => clientUuid === client);
          if (queue === undefined) throw unknownUser();
          checkRoom(queue, sections.length, limits);
          return { clientUuid: client, sequence: queue.next, sections };
        });
        await store.append(tx, rows);
        return rows;
      });
      for (const { clientUuid } of rung) bell.ring(keyOf(clientUuid));
      return {};
    },

    async dequeueDirect({ fromSequence, max }, context) {
      const client = callingClient(context).uuid;
      const queue = await acknowledge(client, fromSequence);
      // What was restored lies below the beginning.
      const rows = await store.read(database, client, fromSequence, pageOf(max));
      const end = (rows.at(-1)?.sequence ?? queue.next - 1n) + 1n;
      return { messages: rows.map(wire), remaining: queue.next > end ? queue.next - end : 0n };
    },

    async *listenDirect({ fromSequence }, context) {
      const client = callingClient(context).uuid;
      const { listener } = await database.transaction(async (tx) => {
        // Heard again, it would take the place of whoever listens by now.
        await spendOnce(tx, context, parts);
        await acknowledgeIn(tx, client, fromSequence);
        return { listener: await store.takeListener(tx, client) };
      });
      const heard = listeners.listen(keyOf(client), context.signal);
      const read = async (from: bigint): Promise<readonly store.Stored[]> => {
        const found = await store.readAsListener(database, client, from, LISTEN_PAGE);
        if (found === undefined) throw queueUnknown();
        if (found.listener > listener) throw listenerReplaced();
        return found.messages;
      };
      yield* followQueue(read, fromSequence, heard);
    },

    async ackDirect({ belowSequence }, context) {
      await acknowledge(callingClient(context).uuid, belowSequence);
      return {};
    },
  };
}

/** What lies in a queue from a sequence on, and then what comes, each time something is heard. */
async function* followQueue(
  read: (from: bigint) => Promise<readonly store.Stored[]>,
  from: bigint,
  listening: AsyncIterable<Heard>,
): AsyncGenerator<ListenDirectResponse> {
  let at = from;
  for await (const heard of listening) {
    if (heard === 'draining') {
      yield { messages: [], reconnectWithinMs: RECONNECT_WITHIN_MS };
      return;
    }
    const before = at;
    for (;;) {
      const rows = await read(at);
      if (rows.length > 0) yield { messages: rows.map(wire), reconnectWithinMs: 0 };
      // After a restored backup a queue goes on far behind its end.
      at = (rows.at(-1)?.sequence ?? at - 1n) + 1n;
      if (rows.length < LISTEN_PAGE) break;
    }
    if (heard === 'quiet' && at === before) yield { messages: [], reconnectWithinMs: 0 };
  }
}

const PAGE_MAX = 500;
const LISTEN_PAGE = 50;
const CLIENTS_MAX = 10;
const ID_BYTES = 16;

function pageOf(max: number): number {
  return max === 0 || max > PAGE_MAX ? PAGE_MAX : max;
}

interface Parsed {
  readonly user: UserId;
  readonly messageId: Uint8Array;
  readonly messages: readonly { readonly client: Uuid; readonly sections: Uint8Array }[];
}

function parse(request: EnqueueDirectRequest, parts: Dependencies): Parsed {
  const user = requireLocal(UserId.parse(request.userId, 'user_id'), parts.domain);
  if (request.messageId.length !== ID_BYTES) throw malformed('message_id', 'is not 16 bytes long');
  const { messages } = request;
  if (messages.length === 0 || messages.length > CLIENTS_MAX) {
    throw malformed('messages', `are not 1 to ${CLIENTS_MAX}`);
  }
  const parsed = messages.map((message) => parseMessage(message, user));
  if (new Set(parsed.map(({ client }) => client)).size !== parsed.length) {
    throw malformed('messages', 'name one client twice');
  }
  return { user, messageId: request.messageId, messages: parsed };
}

function parseMessage(message: DirectMessage, user: UserId) {
  const client = ClientId.parse(message.clientId, 'client_id');
  if (client.user.uuid !== user.uuid || client.user.domain !== user.domain) {
    throw malformed('client_id', 'is not a client of the user');
  }
  checkSections(message.sections);
  return { client: client.uuid, sections: encodeSections(message.sections) };
}

function wire({ sequence, sections }: store.Stored): DirectQueueMessage {
  const decoded = decodeSections(sections);
  return {
    sequence,
    sections: decoded.map(({ type, sealed }) => ({ type: type as SectionType, sealed })),
  };
}

function queueUnknown(): Failure {
  return new Failure('QUEUE_UNKNOWN', 'this client has no queue');
}

function unknownUser(): Failure {
  return new Failure('USER_UNKNOWN', 'there is no such user');
}
