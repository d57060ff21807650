import { concat, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import {
  clientWire,
  parseUserName,
  printId,
  printUserName,
  scopedWire,
  UserId,
} from '@roost/core/ids';
import { makeConnectionRequest, verifyConnectionPackage } from '@roost/identity/connection';
import { hashSections, sealSection } from '@roost/identity/direct-section';
import { verifyNameBinding } from '@roost/identity/credentials';
import {
  EnqueueDirectRequest,
  type FindUserResponse,
  SectionType,
} from '@roost/proto/roost/authentication/v1/authentication';
import { templateNamed } from '@roost/mls/templates';
import { accountOf, type Core, credentialsOf } from './core.ts';
import { draftEntry, sayFarewell } from './crossing.ts';
import { createAtHub, found } from './groups.ts';
import type { Outcome } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { type Contact, contacts, type Group } from './state.ts';
import { type Task, tasks } from './task.ts';
import type { Judged } from './trust.ts';

type Connect = Task & { kind: 'connect' };

/** One client of a user, as its connection package tells. */
interface Reachable {
  readonly connectionPackage: Uint8Array;
  readonly verified: ReturnType<typeof verifyConnectionPackage>;
}

interface Found {
  readonly user: UserId;
  readonly userName: string;
  readonly clients: readonly Reachable[];
}

/**
 * Asks somebody to connect: finds the user, makes the group of two on our own hub, and puts the
 * request into the direct queue of each of the user's clients.
 */
export async function performConnect(
  core: Core,
  lane: string,
  key: string,
  task: Connect,
): Promise<Outcome> {
  if (task.asked === undefined) {
    const target = await find(core, task.name);
    await core.ledger.turn((turn) => {
      const contact = turn.get(contacts, printId(target.user));
      // Both ask each other: that is consent.
      if (contact?.standing === 'asking') {
        core.lanes.finish(turn, key);
        accepting(core, turn, contact);
        return undefined;
      }
      if (contact?.isBlocked === true) {
        throw new Failure('NOT_ALLOWED', `you blocked ${contact.userName}; unblock first`);
      }
      if (contact !== undefined && contact.standing !== 'rejected') {
        // By a new name, or asked twice at once: there is a conversation already.
        core.lanes.finish(turn, key);
        turn.put(contacts, printId(target.user), { ...contact, userName: target.userName });
        return undefined;
      }
      if (contact !== undefined) sayFarewell(core, turn, contact);
      return ask(core, turn, { key, task, target });
    });
    return 'on';
  }
  const { joinSecret, request } = task.asked;
  await createAtHub(core, lane, core.crypto.sha256(joinSecret));
  const message = EnqueueDirectRequest.decode(request);
  await core.caller.ask({ token: 'contact' }, (options) =>
    core.caller.services.authentication.enqueueDirect(message, options),
  );
  await core.ledger.turn((turn) => core.lanes.finish(turn, key));
  return 'on';
}

/** Enters the group of somebody who asks. */
export function accepting(core: Core, turn: Turn, contact: Contact): { done: Promise<void> } {
  turn.put(contacts, printId(contact.user), { ...contact, standing: 'accepting' });
  draftEntry(core, turn, contact);
  const task = { kind: 'accept' as const, user: contact.user };
  return core.lanes.submit(turn, printId(contact.group), task);
}

/** Finds a user and verifies that name, id and clients belong together. */
async function find(core: Core, name: string): Promise<Found> {
  const { domain } = accountOf(core);
  const userName = parseUserName(name, domain);
  const text = printUserName(userName);
  if (text === accountOf(core).userName) {
    throw new Failure('NOT_ALLOWED', 'that is your own name');
  }
  const response = await core.caller.ask({ token: 'contact' }, (options) =>
    core.caller.services.authentication.findUser({ userName: text }, options),
  );
  const { trust } = core;
  // By the keys of the domain that was typed: nobody else speaks of its users.
  return trust.judge(() =>
    trust.by(userName.domain, (judged) => verifiedUser(core, text, response, judged)),
  );
}

function verifiedUser(
  { crypto }: Core,
  userName: string,
  response: FindUserResponse,
  { authority, nowMs }: Judged,
): Found {
  const user = UserId.parse(response.userId, 'user_id');
  const { binding, standing } = verifyNameBinding(crypto, response.nameBinding, authority, nowMs);
  const isBound =
    standing === 'valid' &&
    printUserName(binding.userName) === userName &&
    printId(binding.userId) === printId(user);
  if (!isBound) throw new Failure('UNAUTHENTICATED', 'the homeserver vouches for another name');
  const clients = response.connectionPackages.map((connectionPackage): Reachable => {
    const verified = verifyConnectionPackage(crypto, connectionPackage, authority, nowMs);
    if (printId(verified.credential.clientId.user) !== printId(user)) {
      throw new Failure('UNAUTHENTICATED', 'a connection package is of another user');
    }
    return { connectionPackage, verified };
  });
  const valid = clients.filter(({ verified }) => verified.standing === 'valid');
  if (valid.length === 0) throw new Failure('USER_UNKNOWN', `${userName} cannot be reached now`);
  return { user, userName, clients: valid };
}

interface Asking {
  readonly key: string;
  readonly task: Connect;
  readonly target: Found;
}

/** Writes down the group of two and the request, before anybody hears of either. */
async function ask(
  core: Core,
  turn: Parameters<typeof found>[1],
  { key, task, target }: Asking,
): Promise<void> {
  const dm = { id: task.group, template: templateNamed('dm'), title: '' };
  const group = await found(core, turn, dm);
  const joinSecret = core.crypto.random(32);
  const [first] = target.clients;
  if (first === undefined) return;
  const { publicKey, recoveryKeyHash } = first.verified.credential;
  turn.put(contacts, printId(target.user), {
    user: target.user,
    userName: target.userName,
    standing: 'asked',
    group: task.group,
    clientKey: publicKey,
    recoveryKeyHash,
    sinceMs: core.clock.now(),
    ownToken: core.crypto.random(32),
  });
  const request = EnqueueDirectRequest.encode({
    userId: scopedWire(target.user),
    messageId: core.crypto.random(16),
    messages: target.clients.map((client) => requestFor(core, group, joinSecret, client)),
  }).finish();
  const asked = { user: target.user, joinSecret, request: Uint8Array.from(request) };
  turn.put(tasks, key, { ...task, asked });
}

function requestFor(core: Core, { id, keys }: Group, joinSecret: Uint8Array, client: Reachable) {
  const { crypto, clock } = core;
  const { signing, connections } = accountOf(core);
  const { clientCredential, nameBinding } = credentialsOf(core);
  const { credential, hpkeKey } = client.verified;
  const plaintext = makeConnectionRequest(
    crypto,
    signing.privateKey,
    {
      clientCredential,
      nameBinding,
      replyPackage: connections[0]?.connectionPackage ?? new Uint8Array(0),
      groupId: id,
      ...keys,
      joinSecret,
      createdMs: clock.now(),
      sectionsHash: hashSections(crypto, []),
    },
    { target: credential.clientId.user, connectionPackage: client.connectionPackage },
  );
  const type = SectionType.IDENTITY;
  const sealed = sealSection(crypto, hpkeKey, credential.clientId, { type, plaintext });
  return { clientId: clientWire(credential.clientId), sections: [{ type, sealed }] };
}

/**
 * What two people compare over another way: the same on both sides, of both accounts' recovery keys
 * and clients' keys.
 */
export function fingerprintOf(
  core: Pick<Core, 'crypto'>,
  accounts: readonly {
    readonly user: UserId;
    readonly clientKey: Uint8Array;
    readonly recoveryKeyHash: Uint8Array;
  }[],
): string {
  const parts = accounts
    .map(({ user, clientKey, recoveryKeyHash }) => ({
      id: printId(user),
      bytes: concat(utf8(printId(user)), recoveryKeyHash, clientKey),
    }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ bytes }) => bytes);
  const hash = core.crypto.sha256(concat(utf8('Roost 1.0 Fingerprint'), ...parts));
  const groups: string[] = [];
  for (let at = 0; at < FINGERPRINT_GROUPS; at++) {
    const number = new DataView(hash.buffer).getUint32(at * 4) % 100_000;
    groups.push(String(number).padStart(5, '0'));
  }
  return groups.join(' ');
}

/** Eight groups of five digits: 132 bits. */
const FINGERPRINT_GROUPS = 8;
