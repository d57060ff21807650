import { type PushRegistration, sealRegistration, wrapRegistrationKey } from '@roost/bus/push';
import { toHex } from '@roost/core/bytes';
import { accountOf, changeAccount, type Core } from './core.ts';
import type { Outcome } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { SETTINGS_LANE } from './settings.ts';
import { qsClientSigner } from './signers.ts';
import { groups, type OwnLeaf, packages } from './state.ts';
import { tasks } from './task.ts';

/** Where we are told that something came while we do not listen, and the key that seals it. */
export interface OwnPush {
  readonly registrationKey: Uint8Array;
  readonly registration: PushRegistration;
}

const HANDLES_AT_ONCE_MAX = 100;

/** The pushes of a client, by a subscription that its platform makes (W3C Push API, UnifiedPush). */
export class Pushes {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** The `applicationServerKey` of a subscription. */
  async key(): Promise<Uint8Array> {
    const { caller } = this.#core;
    const price = { token: 'general' as const, sign: qsClientSigner(this.#core) };
    const { publicKey } = await caller.ask(price, (options) =>
      caller.services.queue.getPushKey({}, options),
    );
    return publicKey;
  }

  /** Has pushes sent to a subscription, in the place of an earlier one. */
  async register(registration: PushRegistration): Promise<void> {
    const registrationKey = this.#core.crypto.random(32);
    sealRegistration(this.#core.crypto, registrationKey, registration);
    await this.#change({ registrationKey, registration });
  }

  async end(): Promise<void> {
    await this.#change(undefined);
  }

  async #change(push: OwnPush | undefined): Promise<void> {
    const { done } = await this.#core.ledger.turn((turn) => {
      changeAccount(turn, { push });
      return this.#core.lanes.submit(turn, SETTINGS_LANE, { kind: 'push' });
    });
    await done;
  }
}

/** There are new handles: pushes are to tell of what comes by them, too. */
export function pushSoon(core: Core, turn: Turn): void {
  if (accountOf(core).push === undefined) return;
  const isPlanned = turn
    .list(tasks, `${SETTINGS_LANE}/`)
    .some(([, task]) => task.kind === 'push' && task.isUnderWay !== true);
  if (!isPlanned) core.lanes.submit(turn, SETTINGS_LANE, { kind: 'push' });
}

/** Tells the QS where pushes go, for all handles that there are. */
export async function performPush(core: Core, key: string): Promise<Outcome> {
  const { crypto, caller, ledger } = core;
  const { queue } = caller.services;
  const price = { token: 'general' as const, sign: qsClientSigner(core) };
  // What comes from here on needs another look.
  await ledger.turn((turn) => turn.put(tasks, key, { kind: 'push', isUnderWay: true }));
  const { push } = accountOf(core);
  if (push === undefined) {
    const request = { sealedRegistration: new Uint8Array(0), wrappedKeys: [] };
    await caller.ask(price, (options) => queue.registerPush(request, options));
  } else {
    const { registrationKey, registration } = push;
    const sealedRegistration = sealRegistration(crypto, registrationKey, registration);
    const leaves = ownLeaves(core);
    for (let at = 0; at === 0 || at < leaves.length; at += HANDLES_AT_ONCE_MAX) {
      const wrappedKeys = leaves.slice(at, at + HANDLES_AT_ONCE_MAX).map((leaf) => ({
        handle: leaf.handle,
        wrappedKey: wrapRegistrationKey(crypto, leaf, registrationKey),
      }));
      const request = { sealedRegistration, wrappedKeys };
      await caller.ask(price, (options) => queue.registerPush(request, options));
    }
  }
  await ledger.turn((turn) => core.lanes.finish(turn, key));
  return 'on';
}

function ownLeaves({ ledger }: Core): OwnLeaf[] {
  const joined = ledger.list(groups).filter(([, { standing }]) => standing !== 'gone');
  const out = ledger.list(packages).filter(([, { isPublished }]) => isPublished);
  const leaves = [...joined, ...out].map(([, { leaf }]) => leaf);
  return [...new Map(leaves.map((leaf) => [toHex(leaf.handle), leaf])).values()];
}
