import { expect, test } from '@jest/globals';
import { ClientId } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeIssuerKeySet } from '@roost/identity/issuer-keys';
import {
  AuthenticationInternalServiceDefinition,
  AuthenticationServiceDefinition,
} from '@roost/proto/roost/authentication/v1/authentication';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import {
  connectionPackage,
  home,
  newcomer,
  type RunningAs,
  runningAs,
  signAs,
} from './actors.fixture.ts';

/** When an intermediate of a year still lives, and another one is made. */
const TO_RENEWAL_MS = 250 * DAY_MS;

async function replicaOf(as: RunningAs) {
  const service = await as.open();
  const signing = { crypto: nodeCrypto, clock: as.clock, audience: home };
  const clientTransport = localTransport(service.bindings, 'edge');
  return {
    client: clientOf(AuthenticationServiceDefinition, clientTransport, signing),
    internal: clientOf(
      AuthenticationInternalServiceDefinition,
      localTransport(service.bindings, 'aas'),
    ),
    [Symbol.asyncDispose]: async () => await service.close(),
  };
}

const hex = (parts: readonly Uint8Array[]): string =>
  parts.map((part) => Buffer.from(part).toString('hex')).join();

test('every replica publishes the same keys, the moment that one has made another', async () => {
  await using as = await runningAs();
  await using second = await replicaOf(as);
  const published = async () => {
    const asked = [as, second].map(async ({ client }) => await client.getPublicKeys({}));
    const texts = (await Promise.all(asked)).map(({ roots, intermediates, revoked }) =>
      [roots, intermediates, revoked].map(hex).join('/'),
    );
    expect(new Set(texts).size).toBe(1);
    return await as.client.getPublicKeys({});
  };
  expect((await published()).intermediates).toHaveLength(1);

  as.clock.advance(TO_RENEWAL_MS);
  // Two rotate at once, at their start; the others hear of it when they are asked.
  const makers = await Promise.all([replicaOf(as), replicaOf(as)]);
  expect((await published()).intermediates).toHaveLength(2);
  as.clock.advance(DAY_MS * (365 - 250));
  expect((await published()).intermediates).toHaveLength(1);
  await Promise.all(makers.map((each) => each[Symbol.asyncDispose]()));
});

test('who began to register with a replica that has a new key finishes with any other', async () => {
  await using as = await runningAs();
  await using second = await replicaOf(as);
  as.clock.advance(TO_RENEWAL_MS);
  await using maker = await replicaOf(as);
  const { registrationId, credentialRequest, sign, key } = newcomer();
  const request = { registrationId, userName: 'alice', credentialRequest, inviteCode: '' };
  const begun = await maker.client.beginRegistration(request, { sign });
  // The same bytes, whoever is asked.
  expect(await second.client.beginRegistration(request, { sign })).toEqual(begun);
  const signed = signAs(ClientId.parse(begun.clientId, 'client_id'), key);
  const made = connectionPackage(key, begun.clientCredential, as.clock);
  await second.client.finishRegistration({ registrationId, connectionPackage: made }, signed);
});

test('replicas sign the issuer keys alike once they have published the same', async () => {
  await using as = await runningAs();
  await using second = await replicaOf(as);
  as.clock.advance(TO_RENEWAL_MS);
  await using _ = await replicaOf(as);
  const keySet = encodeIssuerKeySet({ domain: home, createdMs: 1n, keys: [] });
  const signed = [];
  for (const { client, internal } of [as, second]) {
    await client.getPublicKeys({});
    signed.push(await internal.signIssuerKeys({ keySet }));
  }
  expect(signed[0]).toEqual(signed[1]);
});
