import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { GroupId, printId } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type Door, connectTo } from '@roost/e2e/door';
import { validateKeyPackage } from '@roost/mls/key-package';
import { parseApplication, parseHandshake } from '@roost/mls/message';
import type { GroupId as WireGroupId } from '@roost/proto/roost/common/v1/common';
import {
  CommitRequest,
  CommitResponse,
  CreateGroupRequest,
  GetJoinInfoRequest,
  JoinGroupRequest,
  JoinGroupResponse,
  ResyncRequest,
  ResyncResponse,
  SendMessageRequest,
} from '@roost/proto/roost/delivery/v1/delivery';
import {
  ClaimAddPackagesRequest,
  ClaimAddPackagesResponse,
  ListenResponse,
} from '@roost/proto/roost/queue/v1/queue';
import type { Outgoing, Transport } from '@roost/rpc/call';
import type { Channel } from '@roost/rpc/client';
import { digest, type Log } from './log.ts';
import { QueueTap } from './queue-tap.ts';

/**
 * Stands between a client and its homeserver and writes down what goes through, as the wire shows it: a
 * client that hides what came twice hides nothing from it.
 */
export class Tap implements Transport, Disposable {
  readonly queue: QueueTap;
  /** The epoch that the last commit of ours led to, by group. */
  readonly ledTo = new Map<string, number>();
  /** The epoch in which the last message of ours was made that the hub took, by group. */
  readonly saidIn = new Map<string, number>();
  readonly #client: string;
  readonly #log: Log;
  /** Those that were answered. */
  readonly #claims = new Set<string>();
  #door: Door;
  #channel: Channel;

  constructor(client: string, door: Door, log: Log) {
    this.#client = client;
    this.#log = log;
    this.#door = door;
    this.#channel = connectTo(door);
    this.queue = new QueueTap(client, log);
  }

  /** Drops the connection, as a telephone does that comes out of a tunnel. */
  reconnect(door = this.#door): void {
    this.#channel.close();
    this.#door = door;
    this.#channel = connectTo(door);
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }

  async unary(call: Outgoing): Promise<Uint8Array> {
    const told = this.#tellOf(call);
    told?.asked();
    try {
      const answer = await this.#channel.unary(call);
      this.#passed(call);
      told?.answered(answer);
      return answer;
    } catch (error) {
      this.#failed(call, error);
      if (isFromBehindTheGate(error)) told?.refused(error.reason);
      throw error;
    }
  }

  async *stream(call: Outgoing): AsyncGenerator<Uint8Array> {
    const isQueue = call.path.endsWith('QueueService/Listen');
    let hasPassed = false;
    try {
      for await (const message of this.#channel.stream(call)) {
        if (!hasPassed) this.#passed(call);
        hasPassed = true;
        if (isQueue) this.queue.read(ListenResponse.decode(message).runs);
        yield message;
      }
    } catch (error) {
      if (hasPassed) this.#log.heard(error);
      else this.#failed(call, error);
      throw error;
    }
  }

  #passed({ authorization, path }: Outgoing): void {
    if (authorization === undefined) return;
    const token = digest(new TextEncoder().encode(authorization));
    this.#log.add({ kind: 'passed', token, path });
  }

  #failed(call: Outgoing, error: unknown): void {
    if (call.signal?.aborted === true) return;
    this.#log.heard(error);
    if (isFromBehindTheGate(error)) this.#passed(call);
  }

  /** What the history holds of a call, where it holds anything. */
  #tellOf({ path, request }: Outgoing): Told | undefined {
    switch (path.slice(path.lastIndexOf('/') + 1)) {
      case 'CreateGroup': {
        const { groupId } = CreateGroupRequest.decode(request);
        return this.#joining(groupId, () => 0);
      }
      case 'SendMessage': {
        const { groupId, message } = SendMessageRequest.decode(request);
        const tls = message?.tls ?? NOTHING;
        const epoch = Number(parseApplication(tls).epoch);
        const told = this.#message(groupId, tls, epoch);
        const answered = (): void => {
          this.saidIn.set(this.#groupOf(groupId), epoch);
          told.answered(NOTHING);
        };
        return { ...told, answered };
      }
      case 'Commit':
        return this.#commit(CommitRequest.decode(request), CommitResponse.decode);
      case 'JoinGroup':
        return this.#commit(JoinGroupRequest.decode(request), JoinGroupResponse.decode, true);
      case 'Resync':
        return this.#commit(ResyncRequest.decode(request), ResyncResponse.decode, true);
      case 'GetJoinInfo': {
        const { groupId, epoch } = GetJoinInfoRequest.decode(request);
        return this.#entering(groupId, Number(epoch));
      }
      case 'ClaimAddPackages':
        return this.#claim(toHex(ClaimAddPackagesRequest.decode(request).claimId));
      default:
        return undefined;
    }
  }

  #message(groupId: WireGroupId | undefined, tls: Uint8Array, epoch: number): Told {
    const group = this.#groupOf(groupId);
    const message = { client: this.#client, group, level: 'queue' as const, what: digest(tls) };
    return {
      asked: () => this.#log.add({ kind: 'sending', ...message }),
      answered: () => this.#log.add({ kind: 'accepted', epoch, ...message }),
      refused: (reason) => this.#log.add({ kind: 'refused', reason, ...message }),
    };
  }

  #entering(groupId: WireGroupId | undefined, epoch: number): Told {
    const member = { client: this.#client, group: this.#groupOf(groupId) };
    const refused = (reason: string): void => {
      if (reason === 'GROUP_UNKNOWN') this.#log.add({ kind: 'barred', epoch, ...member });
    };
    return { asked: ignore, answered: ignore, refused };
  }

  #joining(groupId: WireGroupId | undefined, epochOf: (answer: Uint8Array) => number): Told {
    const member = { client: this.#client, group: this.#groupOf(groupId) };
    return {
      asked: ignore,
      answered: (answer) => this.#log.add({ kind: 'joined', epoch: epochOf(answer), ...member }),
      refused: ignore,
    };
  }

  #commit(
    { groupId, commit }: Committing,
    decode: (answer: Uint8Array) => CommitResponse,
    isJoin = false,
  ): Told {
    const tls = commit?.tls ?? NOTHING;
    const epoch = Number(parseHandshake(tls).epoch);
    const told = this.#message(groupId, tls, epoch);
    const group = this.#groupOf(groupId);
    const answered = (answer: Uint8Array): void => {
      const { result } = decode(answer);
      if (result?.$case !== 'accepted') return told.refused('conflict');
      const ledTo = Number(result.value.epoch);
      const member = { client: this.#client, group };
      told.answered(answer);
      this.ledTo.set(group, ledTo);
      this.#log.add({ kind: 'won', epoch: ledTo - 1, what: digest(tls), ...member });
      if (isJoin) this.#log.add({ kind: 'joined', epoch: ledTo, ...member });
    };
    return { ...told, answered };
  }

  /** A claim that is made again is answered again. */
  #claim(claim: string): Told {
    const answered = (answer: Uint8Array): void => {
      if (this.#claims.has(claim)) return;
      this.#claims.add(claim);
      for (const { keyPackage } of ClaimAddPackagesResponse.decode(answer).addPackages) {
        const tls = keyPackage?.tls ?? NOTHING;
        const { isLastResort } = validateKeyPackage(crypto, tls, Date.now());
        this.#log.add({ kind: 'claimed', what: digest(tls), isLastResort });
      }
    };
    return { asked: ignore, answered, refused: ignore };
  }

  #groupOf(groupId: WireGroupId | undefined): string {
    return this.#log.nameOf(printId(GroupId.parse(groupId, 'group_id')));
  }
}

interface Told {
  readonly asked: () => void;
  readonly answered: (answer: Uint8Array) => void;
  readonly refused: (reason: string) => void;
}

interface Committing {
  readonly groupId?: WireGroupId | undefined;
  readonly commit?: { readonly tls: Uint8Array } | undefined;
}

/** What the gate, the edge or a service that is full says before anything is done, or when nobody knows. */
const BEFORE: ReadonlySet<string> = new Set([
  ...['TOKEN_REQUIRED', 'TOKEN_INVALID', 'TOKEN_SPENT', 'RATE_LIMITED', 'METHOD_UNKNOWN'],
  ...['UNAVAILABLE', 'DRAINING', 'TOO_LARGE', 'MALFORMED'],
]);

function isFromBehindTheGate(error: unknown): error is Failure {
  return error instanceof Failure && !BEFORE.has(error.reason);
}

const NOTHING = new Uint8Array(0);

function ignore(): void {}
