import { sealRegistration, wrapRegistrationKey } from '@roost/bus/push';
import { encodeQueueConfig } from '@roost/bus/queue-config';
import { servicesOf } from '@roost/client/calls';
import type { Group } from '@roost/client/state';
import { assert } from '@roost/core/assert';
import { printId, scopedWire } from '@roost/core/ids';
import { DAY_MS, MINUTE_MS, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { makeConnectionPackage } from '@roost/identity/connection';
import { makeClientCredentialRequest } from '@roost/identity/credentials';
import type { ProofKey } from '@roost/identity/proof';
import { BadCommitKind } from '@roost/proto/roost/delivery/v1/delivery';
import { NotificationRule } from '@roost/proto/roost/queue/v1/queue';
import type { CallOptions } from '@roost/rpc/call';
import type { Story } from './story.ts';
import type { Tokens } from './tokens.ts';
import type { Witness } from './witness.ts';
import type { World } from './world.ts';

/** As which key somebody signs. */
export interface Signer {
  readonly key: ProofKey;
  readonly privateKey: Uint8Array;
}

/** The keys of somebody that are found by an id. */
export async function idSigners(person: Witness) {
  const { credentials, qsUser, qsClient, signing, qsUserKey, qsClientKey } = await person.account();
  assert(
    credentials !== undefined && qsUser !== undefined && qsClient !== undefined,
    'who came is registered',
  );
  return {
    client: {
      key: { kind: 'client', client: credentials.client },
      privateKey: signing.privateKey,
    },
    qsUser: { key: { kind: 'qs-user', qsUser }, privateKey: qsUserKey.privateKey },
    qsClient: { key: { kind: 'qs-client', qsClient }, privateKey: qsClientKey.privateKey },
  } satisfies Record<string, Signer>;
}

/** To an address that nobody has: what is registered here is never told. */
function registrationFor(handles: readonly Uint8Array[]) {
  const [key, pushKey] = [crypto.random(32), crypto.random(32)];
  const registration = {
    endpoint: 'https://push.invalid/',
    p256dh: crypto.p256.generate().publicKey,
    auth: crypto.random(16),
  };
  return {
    sealedRegistration: sealRegistration(crypto, key, registration),
    wrappedKeys: handles.map((handle) => ({
      handle,
      wrappedKey: wrapRegistrationKey(crypto, { handle, pushKey }, key),
    })),
  };
}

function nextMinuteMs(): bigint {
  return BigInt(Math.ceil(Date.now() / MINUTE_MS) * MINUTE_MS);
}

/**
 * What clients do once a month or never, done now and written down with the rest: renewals, other
 * queue configs, handles given back, groups deleted.
 */
export async function doChores(person: Witness, tokens: Tokens, groups: readonly Group[]) {
  const account = await person.account();
  const { client, qsClient } = await idSigners(person);
  const signing = { crypto, clock: systemClock, audience: account.domain };
  const { authentication, delivery, queue } = servicesOf(person.recorder, signing);
  const paid = async (sign: Signer): Promise<CallOptions> => ({
    sign,
    token: await tokens.takeRaw('general'),
  });

  const recoveryKeyHash = crypto.sha256(account.recovery.publicKey);
  const request = makeClientCredentialRequest(crypto, account.signing, recoveryKeyHash);
  await authentication.renewCredential({ credentialRequest: request }, { sign: client });
  for (const days of [30, 31]) {
    const connectionPackage = makeConnectionPackage(crypto, account.signing.privateKey, {
      hpkeKey: crypto.x25519.generate().publicKey,
      notAfter: Date.now() + days * DAY_MS,
      clientCredential: account.credentials?.clientCredential ?? new Uint8Array(0),
    });
    await authentication.publishConnectionPackage({ connectionPackage }, await paid(client));
  }
  await authentication.dequeueDirect({ fromSequence: 0n, max: 10 }, await paid(client));
  await authentication.ackDirect({ belowSequence: 0n }, await paid(client));

  const handles = [crypto.random(32), crypto.random(32)];
  const registered = { handles: handles.map((handle) => ({ handle, binding: undefined })) };
  await queue.registerHandles(registered, await paid(qsClient));
  for (const silenced of [true, false]) {
    await queue.silenceHandles({ handles, silenced }, await paid(qsClient));
  }
  const muted = { rule: NotificationRule.MUTED, mutedUntilMs: nextMinuteMs() };
  await queue.setNotificationRule({ handles, ...muted }, await paid(qsClient));
  await queue.getPushKey({}, await paid(qsClient));
  await queue.registerPush(registrationFor(handles), await paid(qsClient));
  await queue.releaseHandles({ handles }, await paid(qsClient));
  await queue.dequeue({ fromSequence: 0n, max: 10 }, await paid(qsClient));
  await queue.ack({ belowSequence: 0n }, await paid(qsClient));

  for (const { id, keys, leaf } of groups) {
    const { publicKey, privateKey } = leaf.signing;
    const signer: Signer = { key: { kind: 'leaf', publicKey }, privateKey };
    const { earKey } = keys;
    const common = { groupId: scopedWire(id), earKey };
    const queueConfig = encodeQueueConfig({
      domain: account.domain,
      handle: leaf.handle,
      pushKey: crypto.random(32),
    });
    await delivery.updateQueueConfig({ ...common, queueConfig }, await paid(signer));
    await delivery.getLog({ ...common, fromEpoch: 0n }, await paid(signer)).catch(() => undefined);
    await delivery.deleteGroup(common, await paid(signer)).catch(() => undefined);
  }
}

/**
 * What is done in rooms alone: a public one is founded, found, entered and taken out of the directory again; a bad
 * commit is reported; and whom the log leads no further comes back into the group.
 */
export async function doRoomChores(
  world: World,
  { people: [owner, stays], group, tokens }: Pick<Story, 'people' | 'group' | 'tokens'>,
): Promise<void> {
  const title = `${owner.name}'s open house`;
  const open = await owner.client.rooms.createPublicRoom(title);
  const [found] = await stays.client.rooms.find(title);
  assert(found !== undefined, 'a room that was published is found');
  await stays.client.rooms.join(found);
  const { domain } = await owner.account();
  const { delivery } = servicesOf(owner.recorder, { crypto, clock: systemClock, audience: domain });
  for (const { id, keys, leaf } of await owner.groups()) {
    const { publicKey, privateKey } = leaf.signing;
    const sign: Signer = { key: { kind: 'leaf', publicKey }, privateKey };
    const common = { groupId: scopedWire(id), earKey: keys.earKey };
    const paid = async (): Promise<CallOptions> => ({
      sign,
      token: await tokens.takeRaw('general'),
    });
    if (printId(id) === open) await delivery.unpublishRoom(common, await paid());
    if (printId(id) !== group) continue;
    const bad = { epoch: 2n, kind: BadCommitKind.PATH_SECRET };
    await delivery.reportBadCommit({ ...common, ...bad }, await paid());
  }

  await stays.client.silence(group);
  await owner.client.setTitle(group, `${owner.name}: what few may read`);
  await world.databases.ds.query({ text: 'DELETE FROM log' });
  await stays.client.unsilence(group);
  await stays.until('returned');
}
