import { MemoryBell } from '@roost/bus/memory';
import type { Bell } from '@roost/bus/ports';
import { ClientId, parseDomain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { KeyPair } from '@roost/crypto/crypto';
import { nodeCrypto } from '@roost/crypto/node';
import { makeConnectionPackage } from '@roost/identity/connection';
import { makeClientCredentialRequest } from '@roost/identity/credentials';
import {
  AuthenticationAdminServiceDefinition,
  AuthenticationInternalServiceDefinition,
  AuthenticationServiceDefinition,
} from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf, connect } from '@roost/rpc/client';
import { localTransport } from '@roost/rpc/local';
import { serve } from '@roost/rpc/server';
import { createLog } from '@roost/service/log';
import { TestClock } from '@roost/testing/clock';
import { freshDatabase } from '@roost/testing/postgres';
import { DIRECT_QUEUE_LIMITS, migrations, openAs, type AsConfig } from './service.ts';

/** A running AS with real rows behind a real port, for the tests of this service. */

export const home = parseDomain('roost.example');

export async function runningAs(config: Partial<AsConfig> = {}, bell: Bell = new MemoryBell()) {
  const database = await freshDatabase(migrations, { connectionsMax: 8 });
  const clock = new TestClock(Date.now());
  const log = createLog('as', 'silent');
  const secretKey = new Uint8Array(32).fill(7);
  const open = async (itsBell = bell, incarnation = 1) =>
    await openAs(
      {
        incarnation,
        domain: home,
        registration: 'open',
        directQueue: DIRECT_QUEUE_LIMITS,
        secretKey,
        ...config,
      },
      { bell: itsBell, clock, crypto: nodeCrypto, database, log },
    );
  const service = await open();
  const listen = { host: '127.0.0.1', port: 0 };
  const server = await serve({
    listen,
    callers: 'edge',
    bindings: service.bindings,
    gate: async () => {},
    log,
  });
  const channel = connect(server.address);
  const signing = { crypto: nodeCrypto, clock, audience: home };
  return {
    clock,
    database,
    /** A second one over the same rows, as another replica would be. */
    open,
    service,
    client: clientOf(AuthenticationServiceDefinition, channel, signing),
    internal: clientOf(
      AuthenticationInternalServiceDefinition,
      localTransport(service.bindings, 'aas'),
    ),
    admin: clientOf(
      AuthenticationAdminServiceDefinition,
      localTransport(service.bindings, 'operator'),
    ),
    async [Symbol.asyncDispose]() {
      channel.close();
      await service.close();
      await server.close(100);
      await database[Symbol.asyncDispose]();
    },
  };
}

export type RunningAs = Awaited<ReturnType<typeof runningAs>>;

/** A client key before it is registered. */
export function newcomer() {
  const key = nodeCrypto.ed25519.generate();
  const recovery = nodeCrypto.sha256(nodeCrypto.random(32));
  return {
    key,
    registrationId: nodeCrypto.random(16),
    credentialRequest: makeClientCredentialRequest(nodeCrypto, key, recovery),
    sign: {
      key: { kind: 'new-key' as const, publicKey: key.publicKey },
      privateKey: key.privateKey,
    },
  };
}

export function signAs(client: ClientId, key: KeyPair) {
  return { sign: { key: { kind: 'client' as const, client }, privateKey: key.privateKey } };
}

export function connectionPackage(key: KeyPair, clientCredential: Uint8Array, clock: Clock) {
  const hpke = nodeCrypto.x25519.generate();
  return makeConnectionPackage(nodeCrypto, key.privateKey, {
    hpkeKey: hpke.publicKey,
    notAfter: clock.now() + 30 * 86_400_000,
    clientCredential,
  });
}

export async function beginAs(as: RunningAs, userName: string, inviteCode = '') {
  const who = newcomer();
  const { registrationId, credentialRequest, sign } = who;
  const begun = await as.client.beginRegistration(
    { registrationId, userName, credentialRequest, inviteCode },
    { sign },
  );
  const clientId = ClientId.parse(begun.clientId, 'client_id');
  return { ...who, clientId, begun, signed: signAs(clientId, who.key) };
}

/** Registers a user, both steps. */
export async function registerAs(as: RunningAs, userName: string, inviteCode = '') {
  const who = await beginAs(as, userName, inviteCode);
  const made = connectionPackage(who.key, who.begun.clientCredential, as.clock);
  await as.client.finishRegistration(
    { registrationId: who.registrationId, connectionPackage: made },
    who.signed,
  );
  return who;
}
