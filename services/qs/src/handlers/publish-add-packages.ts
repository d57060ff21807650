import { setImmediate } from 'node:timers/promises';
import { decodeQueueConfig } from '@roost/bus/queue-config';
import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { validateKeyPackage } from '@roost/mls/key-package';
import { uniqueViolation } from '@roost/postgres/errors';
import type { Executor } from '@roost/postgres/executor';
import type { AddPackage } from '@roost/proto/roost/queue/v1/queue';
import { callingQsClient } from '@roost/rpc/service';
import { assertPool, assertUsable } from '../domain/add-package.ts';
import { queueUnknown } from '../records.ts';
import {
  clearLow,
  countPool,
  deleteLastResort,
  findRefs,
  insertPackages,
  type NewAddPackage,
} from '../store/add-packages.ts';
import { insertHandles } from '../store/handles.ts';
import { spendNonce } from '../store/housekeeping.ts';
import { lockForReader } from '../store/queues.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { assertCount, assertDistinct, callingNonce } from './parse.ts';

const PACKAGES_MAX = 100;
const SEALED_LINK_KEY_BYTES_MAX = 256;

export function publishAddPackages(deps: Dependencies): QueueHandlers['publishAddPackages'] {
  const { database, records } = deps;
  return async (request, context) => {
    assertCount(request.addPackages.length, PACKAGES_MAX, 'add_packages');
    const packages: NewAddPackage[] = [];
    for (const wire of request.addPackages) {
      packages.push(parsePackage(deps, wire));
      // Two signatures each: others get their turn in between.
      await setImmediate();
    }
    for (const field of ['ref', 'initKey', 'encryptionKey', 'signatureKey', 'handle'] as const) {
      assertDistinct(
        packages.map((each) => each[field]),
        'add_packages',
      );
    }
    const { clientId } = await records.client(callingQsClient(context));
    const nonce = callingNonce(context);

    const pool = await database
      .transaction((tx) => publish(tx, deps, { clientId, nonce, packages }))
      .catch((error: unknown) => {
        if (uniqueViolation(error)?.startsWith('add_packages_') === true) throw keyUsed(error);
        throw error;
      });

    return { available: Number(pool.available), lastResort: Number(pool.lastResort) };
  };
}

/** Every check that needs no rows. Copies are kept: a view would keep the whole request. */
function parsePackage({ crypto, clock, records }: Dependencies, wire: AddPackage): NewAddPackage {
  if (wire.keyPackage === undefined) throw malformed('add_packages.key_package', 'is missing');
  const sealed = wire.sealedLinkKey.length;
  if (sealed === 0 || sealed > SEALED_LINK_KEY_BYTES_MAX) {
    throw malformed('add_packages.sealed_link_key', 'is not 1 to 256 bytes long');
  }
  const valid = validateKeyPackage(crypto, wire.keyPackage.tls, clock.now());
  assertUsable(valid, clock.now());
  if (valid.queueConfig === undefined) {
    throw new Failure('INVALID_MLS', 'KeyPackage: the queue config extension (0xF102) is missing');
  }
  const { domain, handle } = decodeQueueConfig(valid.queueConfig);
  records.assertHere(domain);
  return {
    ref: valid.ref,
    initKey: valid.initKey,
    encryptionKey: valid.encryptionKey,
    signatureKey: valid.signatureKey,
    isLastResort: valid.isLastResort,
    expiresAt: new Date(valid.notAfterMs),
    handle,
    keyPackage: wire.keyPackage.tls,
    sealedLinkKey: wire.sealedLinkKey,
  };
}

interface Publication {
  readonly clientId: bigint;
  readonly nonce: Uint8Array;
  readonly packages: readonly NewAddPackage[];
}

async function publish(
  tx: Executor,
  { crypto, clock, limits }: Dependencies,
  { clientId, nonce, packages }: Publication,
) {
  const now = new Date(clock.now());
  await spendNonce(tx, nonce, now);
  // Whoever publishes for this client waits here.
  if ((await lockForReader(tx, clientId)) === undefined) throw queueUnknown();
  const refs = packages.map(({ ref }) => ref);
  const known = await findRefs(tx, refs);
  if (known.some((each) => each.clientId !== clientId)) throw keyUsed();
  const fresh = packages.filter(({ ref }) => !known.some((each) => equal(each.ref, ref)));

  if (packages.some(({ isLastResort }) => isLastResort)) await deleteLastResort(tx, clientId, refs);
  const inserted = await insertHandles(
    tx,
    clientId,
    fresh.map(({ handle }) => crypto.sha256(handle)),
    fresh.map(() => null),
    fresh.map(() => null),
    fresh.map(({ isLastResort }) => isLastResort),
  );
  if (inserted.length < fresh.length) throw new Failure('ALREADY_EXISTS', 'a handle is in use');
  await insertPackages(tx, clientId, fresh);

  const [pool] = await countPool(tx, clientId, now);
  if (pool === undefined) throw queueUnknown();
  assertPool(pool, limits);
  if (pool.available >= BigInt(limits.lowWater)) await clearLow(tx, clientId);
  return pool;
}

function keyUsed(cause?: unknown): Failure {
  const message = 'a key of one of these KeyPackages is in use already';
  return new Failure('ALREADY_EXISTS', message, {}, cause);
}
