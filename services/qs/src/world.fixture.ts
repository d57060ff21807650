import { MemoryBell, MemoryBus } from '@roost/bus/memory';
import type { Bell, Bus } from '@roost/bus/ports';
import {
  decodeBusAnswer,
  encodeBusBatch,
  sealFanOut,
  type BusAnswer,
  type BusEvent,
  type FanOut,
  type Pair,
} from '@roost/bus/frames';
import { decodeGroupEvent, encodeGroupEvent, type GroupEvent } from '@roost/bus/group-event';
import { emptyState, openRun, type QueueItem, type QueueReader } from '@roost/bus/queue';
import { encodeQueueConfig } from '@roost/bus/queue-config';
import { utf8 } from '@roost/core/bytes';
import { GroupId, parseDomain, QsClientId, QsUserId, scopedWire, uuidOf } from '@roost/core/ids';
import type { KeyPair } from '@roost/crypto/crypto';
import { signWithLabel } from '@roost/crypto/labelled';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { ProofKey } from '@roost/identity/proof';
import { EXTENSION } from '@roost/mls/extensions';
import { keyPackageTls, newActor, type ActorOptions } from '@roost/mls/testing';
import { Database, type TransactionOptions } from '@roost/postgres/database';
import type { Executor, Query } from '@roost/postgres/executor';
import { QueueServiceDefinition, type QueueRun } from '@roost/proto/roost/queue/v1/queue';
import { clientOf, connect, type Channel, type Client, type Transport } from '@roost/rpc/client';
import type { Outgoing } from '@roost/rpc/call';
import type { Forward } from '@roost/rpc/destination';
import { serve } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import { TestClock } from '@roost/testing/clock';
import { freshDatabase } from '@roost/testing/postgres';
import type { Push } from './push.ts';
import type { QueueLimits } from './queue-limits.ts';
import { memoryLog } from './log.fixture.ts';
import { RecordingPush } from './push.fixture.ts';
import { migrations, openQs, type QsConfig, type QsLimits } from './service.ts';

export const domain = parseDomain('a.example');
export const transportKey = crypto.random(32);
const secretKey = crypto.random(32);

/** Counts the statements that go through it. */
export class CountingDatabase extends Database {
  statements = 0;

  override async query<Row extends object>(query: Query): Promise<Row[]> {
    this.statements++;
    return await super.query<Row>(query);
  }

  override async transaction<T>(
    fn: (tx: Executor) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    const counting = (tx: Executor): Executor => ({
      query: async (query) => {
        this.statements++;
        return await tx.query(query);
      },
    });
    return await super.transaction((tx) => fn(counting(tx)), options);
  }
}

/** A queuing service behind real gRPC, with a database of its own. */
export interface World extends AsyncDisposable {
  readonly database: CountingDatabase;
  readonly clock: TestClock;
  readonly bus: Bus;
  readonly bell: Bell;
  readonly client: Client<typeof QueueServiceDefinition>;
  readonly logged: object[];
  readonly bindings: readonly ServiceBinding[];
  /** What sends the very bytes of the last unary call again. */
  lastCall(): () => Promise<Uint8Array>;
  /** Stops the service and starts it again on the same database, as after a restore where a number is given. */
  restart(incarnation?: number): Promise<void>;
  close(): Promise<void>;
}

export async function openWorld(
  limits: Partial<QsLimits> = {},
  push: Push = new RecordingPush(),
  federation: Federation = {},
): Promise<World> {
  const fresh = await freshDatabase(migrations);
  const database = new CountingDatabase(fresh.config, 10);
  const clock = new TestClock(Date.now());
  const logged: object[] = [];
  const options = { config: { limits }, push, ...federation };
  const world = await start(database, clock, logged, options);
  return Object.assign(world, {
    async restart(incarnation = 1) {
      await world.close();
      const config = { limits, incarnation };
      Object.assign(world, await start(database, clock, logged, { ...options, config }));
    },
    async [Symbol.asyncDispose]() {
      await world.close();
      await database[Symbol.asyncDispose]();
      await fresh[Symbol.asyncDispose]();
    },
  });
}

/** What lets other homeservers in. */
export interface Federation {
  readonly forward?: Forward | undefined;
  readonly queueLimits?: QueueLimits | undefined;
}

/** Another replica over the same database. */
export async function openReplica({ database, clock }: World, wires: Pick<World, 'bus' | 'bell'>) {
  return await start(database, clock, [], { config: {}, push: new RecordingPush(), ...wires });
}

interface StartOptions extends Federation, Partial<Pick<World, 'bus' | 'bell'>> {
  readonly config: Pick<QsConfig, 'limits' | 'incarnation'>;
  readonly push: Push;
}

async function start(
  database: CountingDatabase,
  clock: TestClock,
  logged: object[],
  { bus = new MemoryBus(), bell = new MemoryBell(), config, ...given }: StartOptions,
) {
  const log = memoryLog(logged);
  const ports = { database, crypto, clock, log, bus, bell, transportKey, ...given };
  const { bindings, close: closeQs } = await openQs({ domain, secretKey, ...config }, ports);
  const listen = { host: '127.0.0.1', port: 0 };
  const server = await serve({ listen, bindings, callers: 'edge', gate: async () => {}, log });
  const channel: Channel = connect(server.address);
  let last: Outgoing | undefined;
  const recording: Transport = {
    stream: (call) => channel.stream(call),
    unary: (call) => channel.unary((last = call)),
  };
  const client = clientOf(QueueServiceDefinition, recording, { crypto, clock, audience: domain });
  const lastCall = (): (() => Promise<Uint8Array>) => {
    const call = last;
    if (call === undefined) throw new Error('nothing was called');
    return async () => await channel.unary(call);
  };
  const close = async (): Promise<void> => {
    await closeQs();
    channel.close();
    await server.close(0);
  };
  return { database, clock, bus, bell, client, logged, bindings, lastCall, close };
}

export interface TestUser {
  readonly id: QsUserId;
  readonly keys: KeyPair;
  readonly sign: { readonly key: ProofKey; readonly privateKey: Uint8Array };
}

export interface TestClient {
  readonly id: QsClientId;
  readonly queueKeys: KeyPair;
  readonly sign: { readonly key: ProofKey; readonly privateKey: Uint8Array };
}

export async function newUser({ client }: World): Promise<TestUser> {
  const keys = crypto.ed25519.generate();
  const { publicKey, privateKey } = keys;
  const sign = { key: { kind: 'new-key' as const, publicKey }, privateKey };
  const { qsUserId } = await client.createUser({ authKey: publicKey }, { sign });
  const id = QsUserId.parse(qsUserId, 'qs_user_id');
  return { id, keys, sign: { key: { kind: 'qs-user', qsUser: id }, privateKey } };
}

export async function newClient(world: World, user?: TestUser): Promise<TestClient> {
  const owner = user ?? (await newUser(world));
  const { publicKey, privateKey } = crypto.ed25519.generate();
  const queueKeys = crypto.x25519.generate();
  const signature = signWithLabel(crypto, privateKey, 'QueueClient', queueKeys.publicKey);
  const { qsClientId } = await world.client.createClient(
    { authKey: publicKey, queueKey: queueKeys.publicKey, signature },
    { sign: owner.sign },
  );
  const id = QsClientId.parse(qsClientId, 'qs_client_id');
  return { id, queueKeys, sign: { key: { kind: 'qs-client', qsClient: id }, privateKey } };
}

export function newGroup(): GroupId {
  return GroupId.of(uuidOf(crypto.random(16)), domain);
}

/** Registers a handle that is bound to a group. */
export async function bound(
  { client }: World,
  { sign }: TestClient,
  groupId: GroupId,
): Promise<Uint8Array> {
  const handle = crypto.random(32);
  const binding = { groupId: scopedWire(groupId) };
  await client.registerHandles({ handles: [{ handle, binding }] }, { sign });
  return handle;
}

export function pair(n: number, incarnation = 1): Pair {
  return { incarnation, n: BigInt(n) };
}

/** An event as the DS puts it on the bus: the n-th of its group unless told otherwise. */
export function busEvent(
  groupId: GroupId,
  n: number,
  fanOut: FanOut,
  { prev = pair(n - 1, n === 1 ? 0 : 1), number = pair(n) }: { prev?: Pair; number?: Pair } = {},
): BusEvent {
  const place = { groupId, number, prev };
  return { kind: 'event', ...place, sealed: sealFanOut(crypto, transportKey, place, fanOut) };
}

export function fanOutTo(handles: readonly Uint8Array[], groupEvent: Uint8Array): FanOut {
  const [pushKey, extra] = [new Uint8Array(32), new Uint8Array(0)];
  return { recipients: handles.map((handle) => ({ handle, pushKey, extra })), groupEvent };
}

export function message(groupId: GroupId, text: string): Uint8Array {
  const head = { groupId, epoch: 1n, acceptedAtMs: 5n };
  return encodeGroupEvent({ ...head, kind: 'application', mlsMessage: utf8(text) });
}

export async function send(
  { bus }: World,
  events: readonly BusEvent[],
  source = domain,
): Promise<BusAnswer> {
  const batch = encodeBusBatch({ source, events });
  return decodeBusAnswer(await bus.request(0, batch, { timeoutMs: 30_000 }));
}

export const fromStart: QueueReader = { next: 0n, state: emptyState };

/** Opens runs as a client does. */
export function openRuns(
  { queueKeys }: TestClient,
  runs: readonly QueueRun[],
  from: QueueReader = fromStart,
): { readonly reader: QueueReader; readonly items: readonly QueueItem[] } {
  let reader = from;
  const items: QueueItem[] = [];
  for (const run of runs) {
    const opened = openRun(crypto, reader, queueKeys.privateKey, run);
    reader = opened;
    items.push(...opened.items);
  }
  return { reader, items };
}

/** All that lies in a queue, opened. */
export async function readAll(world: World, client: TestClient, from: QueueReader = fromStart) {
  const runs: QueueRun[] = [];
  for (let fromSequence = from.next; ;) {
    const page = await world.client.dequeue({ fromSequence, max: 0 }, { sign: client.sign });
    runs.push(...page.runs);
    const last = page.runs.at(-1);
    if (last === undefined || page.remaining === 0n) break;
    fromSequence = last.firstSequence + BigInt(last.count);
  }
  return openRuns(client, runs, from);
}

/** What items say, in words. */
export function words(items: readonly QueueItem[]): string[] {
  return items.map((item) => {
    if (item.kind === 'gap') return `gap of ${item.events}`;
    if (item.kind === 'low-water') return `${item.available} left`;
    const event: GroupEvent = decodeGroupEvent(item.groupEvent);
    return 'mlsMessage' in event ? new TextDecoder().decode(event.mlsMessage) : event.kind;
  });
}

export interface PackageOptions extends ActorOptions {
  readonly isLastResort?: boolean;
  readonly handle?: Uint8Array;
  /** Instead of a proper one; `null` leaves it out. */
  readonly queueConfig?: Uint8Array | null;
}

/** An AddPackage as a client makes it. */
export async function addPackage(options: PackageOptions = {}) {
  const { isLastResort = false, handle = crypto.random(32), queueConfig } = options;
  const config = queueConfig ?? encodeQueueConfig({ domain, handle, pushKey: crypto.random(32) });
  const empty = new Uint8Array(0);
  const keyPackageExtensions = [
    ...(queueConfig === null
      ? []
      : [{ extensionType: EXTENSION.queueConfig, extensionData: config }]),
    ...(isLastResort ? [{ extensionType: EXTENSION.lastResort, extensionData: empty }] : []),
  ];
  const actor = await newActor(crypto, 'someone', { keyPackageExtensions, ...options });
  return { keyPackage: { tls: keyPackageTls(actor) }, sealedLinkKey: crypto.random(62) };
}
