import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId, scopedWire } from '@roost/core/ids';
import { openLinkKey } from '@roost/identity/friendship';
import type { AddPackage } from '@roost/proto/roost/queue/v1/queue';
import type { Core } from './core.ts';
import { noGroup } from './groups.ts';
import { readClaimed } from './key-packages.ts';
import { linkedIdentity } from './links.ts';
import { usersOf } from './members.ts';
import { type Contact, contacts, groups } from './state.ts';
import { type Change, type ClaimedPackage, tasks } from './task.ts';

/** Claims the KeyPackages of the next user who has none yet; says whether there was one. */
export async function claimMissing(
  core: Core,
  lane: string,
  key: string,
  change: Change & { kind: 'add' },
): Promise<boolean> {
  const group = core.ledger.get(groups, lane);
  if (group === undefined) throw noGroup();
  const present = usersOf(group);
  const next = change.invited.find(
    ({ user, packages }) => packages === undefined && !present.has(printId(user)),
  );
  if (next === undefined) return false;
  const contact = core.ledger.get(contacts, printId(next.user));
  const { token, friendshipKey } = contact ?? {};
  if (contact?.standing !== 'connected' || token === undefined || friendshipKey === undefined) {
    throw new Failure('NOT_ALLOWED', 'only people whom you are connected with can be added');
  }
  const request = {
    claimId: next.claimId,
    ownerDomain: next.user.domain,
    friendshipToken: token,
    groupId: scopedWire(group.id),
  };
  const { addPackages } = await core.caller.ask({ token: 'contact' }, (options) =>
    core.caller.services.queue.claimAddPackages(request, options),
  );
  const packages = await core.trust.judge(() =>
    addPackages.map((each) => checked(core, contact, friendshipKey, each)),
  );
  if (packages.length === 0) {
    throw new Failure('KEY_PACKAGES_EXHAUSTED', `${contact.userName} cannot be added now`);
  }
  await core.ledger.turn((turn) => {
    const task = turn.get(tasks, key);
    if (task?.kind !== 'commit' || task.change.kind !== 'add') return;
    const invited = task.change.invited.map((each) =>
      equal(each.claimId, next.claimId) ? { ...each, packages } : each,
    );
    turn.put(tasks, key, { ...task, change: { kind: 'add', invited } });
  });
  return true;
}

/** Refuses a KeyPackage that is not the contact's by its identity link. */
function checked(
  core: Core,
  contact: Contact,
  friendshipKey: Uint8Array,
  { keyPackage, sealedLinkKey }: AddPackage,
): ClaimedPackage {
  const tls = keyPackage?.tls ?? new Uint8Array(0);
  const { keyPackage: parsed, ref } = readClaimed(core, tls);
  const linkKey = openLinkKey(core.crypto, friendshipKey, ref, sealedLinkKey);
  const { standing, ...identity } = linkedIdentity(core, parsed.leafNode, linkKey);
  if (standing !== 'valid') {
    throw new Failure('UNAUTHENTICATED', `the credential of ${contact.userName} is ${standing}`);
  }
  const isTheirs =
    printId(identity.user) === printId(contact.user) &&
    equal(identity.recoveryKeyHash, contact.recoveryKeyHash);
  if (isTheirs) return { keyPackage: tls, linkKey };
  throw new Failure('UNAUTHENTICATED', `a KeyPackage of ${contact.userName} is somebody else's`);
}
