import { MemoryLimiter } from '@roost/bus/memory';
import type { Limiter } from '@roost/bus/ports';
import { Failure } from '@roost/core/failure';
import { ClientId, clientWire, parseDomain, UserId, uuidOf } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import type { KeyPair } from '@roost/crypto/crypto';
import { nodeCrypto } from '@roost/crypto/node';
import { decodeIssuerKeySet, type TokenClass } from '@roost/identity/issuer-keys';
import { Database } from '@roost/postgres/database';
import {
  AuthenticationInternalServiceDefinition,
  type GetClientResponse,
} from '@roost/proto/roost/authentication/v1/authentication';
import { TokenAdminServiceDefinition } from '@roost/proto/roost/tokens/v1/admin';
import {
  TokenInternalServiceDefinition,
  TokenServiceDefinition,
} from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf } from '@roost/rpc/call';
import { localClient, localTransport } from '@roost/rpc/local';
import { bind } from '@roost/rpc/service';
import { createLog } from '@roost/service/log';
import { TestClock } from '@roost/testing/clock';
import { freshDatabase } from '@roost/testing/postgres';
import { finishBatch, prepareBatch } from '@roost/tokens/blind';
import { authorizationHeader, newChallenge } from '@roost/tokens/challenge';
import { migrations, openAas, type AasConfig } from './service.ts';

export const home = parseDomain('roost.example');
export const SEND = '/roost.delivery.v1.DeliveryService/SendMessage';
export const FIND = '/roost.authentication.v1.AuthenticationService/FindUser';
const CLASS_NUMBERS = { general: 2, contact: 3 } as const;

export async function reasonOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    return error instanceof Failure ? error.reason : error;
  }
}

/** An AS that knows the accounts it is told of: the real one is another service's matter. */
function accountsOf(known: Map<string, GetClientResponse>, clock: TestClock) {
  const handlers = {
    getClient: async ({ clientId }: { clientId?: { uuid: Uint8Array } | undefined }) => {
      const found = known.get(Buffer.from(clientId?.uuid ?? []).toString('hex'));
      if (found === undefined) throw new Failure('USER_UNKNOWN', 'there is no such client');
      return found;
    },
    // Another one each time, as of an AS that just changed its key.
    signIssuerKeys: async () => ({
      issuer: nodeCrypto.random(32),
      signature: nodeCrypto.random(64),
    }),
  };
  const options = { audience: home, clock, crypto: nodeCrypto };
  const binding = bind(AuthenticationInternalServiceDefinition, handlers, options);
  return localClient(AuthenticationInternalServiceDefinition, binding, 'aas');
}

interface Replica {
  readonly incarnation?: number;
  readonly database?: Database;
  readonly clock?: TestClock;
  readonly limiter?: Limiter;
}

export async function runningAas(config: Partial<AasConfig> = {}) {
  const database = await freshDatabase(migrations, { connectionsMax: 10 });
  const clock = new TestClock(20_500 * DAY_MS + 5 * 3_600_000);
  const known = new Map<string, GetClientResponse>();
  const own: Database[] = [];
  const opened: Awaited<ReturnType<typeof openAas>>[] = [];
  /** A replica: over the same pool, or one of its own. */
  const open = async ({ incarnation = 1, ...parts }: Replica = {}) =>
    await openAas(
      {
        domain: home,
        quantities: { general: 300, contact: 100 },
        issuerThreads: 1,
        secretKey: new Uint8Array(32).fill(3),
        incarnation,
        ...config,
      },
      {
        database,
        clock,
        crypto: nodeCrypto,
        limiter: new MemoryLimiter(clock),
        log: createLog('aas', 'silent'),
        authentication: accountsOf(known, clock),
        ...parts,
      },
    );
  const service = await open();
  return {
    clock,
    database,
    known,
    open,
    /** A replica as a process of its own would be, with what clients and the edge call. */
    replica: async (parts: Replica = {}) => {
      const pool = new Database(database.config, 4);
      own.push(pool);
      const another = await open({ database: pool, ...parts });
      opened.push(another);
      return clientsOf(another, parts.clock ?? clock);
    },
    service,
    ...clientsOf(service, clock),
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map(async (each) => await each.close()));
      await Promise.all(own.map(async (each) => await each[Symbol.asyncDispose]()));
      await service.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

export type Aas = Awaited<ReturnType<typeof runningAas>>;

export function clientsOf({ bindings }: Awaited<ReturnType<typeof openAas>>, clock: TestClock) {
  const signing = { crypto: nodeCrypto, clock, audience: home };
  const gate = clientOf(TokenInternalServiceDefinition, localTransport(bindings, 'gate'));
  return {
    client: clientOf(TokenServiceDefinition, localTransport(bindings, 'edge'), signing),
    admin: clientOf(TokenAdminServiceDefinition, localTransport(bindings, 'operator')),
    check: async (path: string, authorization: string) =>
      await gate.checkToken({ path, authorization }),
  };
}

interface Account {
  readonly clientId: ClientId;
  readonly key: KeyPair;
}

export function account(aas: Aas, standing: Partial<GetClientResponse> = {}): Account {
  const key = nodeCrypto.ed25519.generate();
  const user = UserId.of(uuidOf(nodeCrypto.random(16)), home);
  const clientId = ClientId.of(user, uuidOf(nodeCrypto.random(16)));
  aas.known.set(clientId.uuid.replaceAll('-', ''), {
    signatureKey: key.publicKey,
    isSuspended: false,
    generalAllowance: undefined,
    contactAllowance: undefined,
    ...standing,
  });
  return { clientId, key };
}

export const signed = ({ clientId, key }: Account) => ({
  sign: { key: { kind: 'client' as const, client: clientId }, privateKey: key.privateKey },
});

export async function batch(
  aas: Pick<Aas, 'client' | 'clock'>,
  tokenClass: TokenClass,
  count: number,
) {
  const { keySet } = await aas.client.getIssuerKeys({});
  const set = decodeIssuerKeySet(keySet);
  const key = set.keys.find((each) => each.tokenClass === tokenClass && each.state === 'current');
  if (key === undefined) throw new Error('there is a key that issues');
  const prepared = prepareBatch(nodeCrypto, key.spki, newChallenge(home), count);
  return {
    tokens: (blindSignatures: Uint8Array) =>
      finishBatch(nodeCrypto, prepared.state, blindSignatures).map(authorizationHeader),
    request: (who: Account, batchNumber: number) => ({
      clientId: clientWire(who.clientId),
      issuedClass: CLASS_NUMBERS[tokenClass],
      period: Math.floor(aas.clock.now() / DAY_MS),
      batchNumber,
      tokenKeyId: nodeCrypto.sha256(key.spki),
      blinded: prepared.requests,
    }),
  };
}

/** Draws tokens, as the headers that they travel in. */
export async function draw(aas: Aas, tokenClass: TokenClass, count: number, who = account(aas)) {
  const { tokens, request } = await batch(aas, tokenClass, count);
  const answer = await aas.client.issueTokens(request(who, 0), signed(who));
  return tokens(answer.blindSignatures);
}
