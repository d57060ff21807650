// Two replicas of the AS over one database, whose bells are NATS.
import { expect, test } from '@jest/globals';
import { registerAs, runningAs, home, type RunningAs } from '@roost/as/actors.fixture';
import { NatsBell } from '@roost/bus/nats-bell';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { AuthenticationServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf, connect } from '@roost/rpc/client';
import { serve } from '@roost/rpc/server';
import { createLog } from '@roost/service/log';
import { Cluster, newPrefix } from './nats.fixture.ts';

/** Far below the slow polls, which make up for lost rings. */
const SOON_MS = 10_000;

/** Another replica over the rows of the first. */
async function replicaOf(as: RunningAs, bell: NatsBell, stack: AsyncDisposableStack) {
  const service = await as.open(bell);
  stack.defer(async () => await service.close());
  const log = createLog('as', 'silent');
  const listen = { host: '127.0.0.1', port: 0 };
  const { bindings } = service;
  const server = await serve({ listen, callers: 'edge', bindings, gate: async () => {}, log });
  stack.defer(async () => await server.close(0));
  const channel = stack.use(connect(server.address));
  return clientOf(AuthenticationServiceDefinition, channel, {
    ...{ crypto, clock: as.clock, audience: home },
  });
}

test('a listener at another replica hears what is stored here, and ends the one here', async () => {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await Cluster.open());
  const [prefix, secretKey] = [newPrefix(), crypto.random(32)];
  const bellOf = async () =>
    new NatsBell(await cluster.connected('as', prefix), { service: 'as', secretKey });
  const as = stack.use(await runningAs({}, await bellOf()));
  const there = await replicaOf(as, await bellOf(), stack);
  const bob = await registerAs(as, 'bob');
  const { uuid, domain } = bob.clientId.user;
  const bytesOf = (text: string) => Buffer.from(text.replaceAll('-', ''), 'hex');
  const userId = { uuid: bytesOf(uuid), domain };
  const clientId = { user: userId, uuid: bytesOf(bob.clientId.uuid) };
  const tell = async (): Promise<unknown> =>
    await as.client.enqueueDirect({
      ...{ userId, messageId: crypto.random(16) },
      messages: [{ clientId, sections: [{ type: 1, sealed: crypto.random(600) }] }],
    });

  await tell();
  const listen = (client: typeof there, fromSequence: bigint) =>
    client.listenDirect({ fromSequence }, bob.signed)[Symbol.asyncIterator]();
  const older = listen(as.client, 0n);
  expect((await older.next()).value?.messages).toHaveLength(1);
  const ended = older.next().catch((error: unknown) => error);
  const began = performance.now();
  const newer = listen(there, 0n);
  expect((await newer.next()).value?.messages).toHaveLength(1);
  expect(await ended).toMatchObject({ reason: 'LISTENER_REPLACED' });
  for (let round = 0; round < 5; round++) {
    const heard = newer.next();
    await tell();
    expect((await heard).value?.messages).toHaveLength(1);
  }
  expect(performance.now() - began).toBeLessThan(SOON_MS);
});
