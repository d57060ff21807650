import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { clientWire, type GroupId, printId, scopedWire, type UserId } from '@roost/core/ids';
import {
  makeConnectionAnswer,
  readConnectionAnswer,
  readConnectionRequest,
  verifyConnectionAnswer,
  verifyConnectionPackage,
  verifyConnectionRequest,
} from '@roost/identity/connection';
import {
  hashSections,
  openSection,
  sealSection,
  type SectionContent,
} from '@roost/identity/direct-section';
import { verifyClientCredential } from '@roost/identity/credentials';
import { type Section, SectionType } from '@roost/proto/roost/authentication/v1/authentication';
import { accountOf, type Core, credentialsOf, ownClient } from './core.ts';
import { endForgotten, giveWay, isOursSmaller } from './crossing.ts';
import type { Turn } from './ledger.ts';
import type { Outcome } from './lanes.ts';
import { type ConnectionKey, type Contact, contacts } from './state.ts';
import type { Task } from './task.ts';
import { domainOf } from './trust.ts';

/** A direct message, opened with one of our connection keys. */
interface Opened {
  readonly by: ConnectionKey;
  readonly sections: readonly SectionContent[];
}

/** A direct message that was found to be what it says. */
export type OpenedDirect =
  | { readonly kind: 'request'; readonly asking: Contact }
  | { readonly kind: 'answer'; readonly answer: Answer };

interface Answer {
  readonly user: UserId;
  readonly group: GroupId;
  readonly recoveryKeyHash: Uint8Array;
  readonly isAccepted: boolean;
}

/** Opens and verifies a direct message. Throws a `Failure` where it is not what it says. */
export function openDirect(core: Core, sections: readonly Section[]): OpenedDirect {
  const opened = open(core, sections);
  const [first, ...others] = opened.sections;
  if (first?.type === SectionType.IDENTITY) {
    return { kind: 'request', asking: openRequest(core, opened.by, first, others) };
  }
  if (first?.type === SectionType.ANSWER && others.length === 0) {
    return { kind: 'answer', answer: openAnswer(core, opened.by, first) };
  }
  throw new Failure('MALFORMED', 'a direct message is neither a request nor an answer');
}

/** Takes in a direct message that was verified. */
export function receiveDirect(core: Core, turn: Turn, opened: OpenedDirect): void {
  if (opened.kind === 'request') takeRequest(core, turn, opened.asking);
  else takeAnswer(core, turn, opened.answer);
}

/** Rejects a request: the answer is sealed to whoever asked. */
export async function performReject(
  core: Core,
  key: string,
  { user, messageId }: Task & { kind: 'reject' },
): Promise<Outcome> {
  const { crypto, clock, trust } = core;
  const contact = core.ledger.get(contacts, printId(user));
  const replyPackage = contact?.request?.replyPackage;
  if (contact === undefined || replyPackage === undefined) {
    await core.ledger.turn((turn) => core.lanes.finish(turn, key));
    return 'on';
  }
  const reply = await trust.judge(() =>
    trust.by(user.domain, ({ authority, nowMs }) =>
      verifyConnectionPackage(crypto, replyPackage, authority, nowMs),
    ),
  );
  const target = reply.credential.clientId;
  const plaintext = makeConnectionAnswer(
    crypto,
    accountOf(core).signing.privateKey,
    {
      isAccepted: false,
      groupId: contact.group,
      createdMs: clock.now(),
      clientCredential: credentialsOf(core).clientCredential,
    },
    { target: target.user, connectionPackage: replyPackage },
  );
  const type = SectionType.ANSWER;
  const sealed = sealSection(crypto, reply.hpkeKey, target, { type, plaintext });
  const messages = [{ clientId: clientWire(target), sections: [{ type, sealed }] }];
  const request = { userId: scopedWire(target.user), messageId, messages };
  await core.caller.ask({ token: 'contact' }, (options) =>
    core.caller.services.authentication.enqueueDirect(request, options),
  );
  await core.ledger.turn((turn) => {
    turn.put(contacts, printId(user), { ...contact, standing: 'rejected', request: undefined });
    core.lanes.finish(turn, key);
  });
  return 'on';
}

function open(core: Core, sections: readonly Section[]): Opened {
  const own = ownClient(core);
  for (const by of accountOf(core).connections) {
    try {
      const contents = sections.map(({ type, sealed }) => ({
        type,
        plaintext: openSection(core.crypto, by.pair.privateKey, own, { type, sealed }),
      }));
      return { by, sections: contents };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
  }
  throw new Failure('UNAUTHENTICATED', 'a direct message opens with none of our keys');
}

function openRequest(
  core: Core,
  by: ConnectionKey,
  identity: SectionContent,
  others: readonly SectionContent[],
): Contact {
  const { crypto, trust, clock } = core;
  const request = readConnectionRequest(identity.plaintext);
  const { value } = request;
  const who = trust.identityOf(value.clientCredential, value.nameBinding);
  const own = ownClient(core).user;
  const to = { target: own, connectionPackage: by.connectionPackage };
  const reply = trust.by(who.user.domain, ({ authority, nowMs }) =>
    verifyConnectionPackage(crypto, value.replyPackage, authority, nowMs),
  );
  const isGood =
    verifyConnectionRequest(crypto, who.clientKey, request, to) &&
    equal(hashSections(crypto, others), value.sectionsHash) &&
    printId(reply.credential.clientId) === printId(who.client) &&
    reply.standing === 'valid' &&
    value.groupId.domain === who.user.domain &&
    printId(who.user) !== printId(own);
  if (!isGood) throw new Failure('UNAUTHENTICATED', 'a connection request is not what it says');

  const { earKey, linkWrapperKey, participantKey, joinSecret, replyPackage } = value;
  return {
    user: who.user,
    userName: who.userName,
    standing: 'asking',
    group: value.groupId,
    clientKey: who.clientKey,
    recoveryKeyHash: who.recoveryKeyHash,
    sinceMs: clock.now(),
    request: { keys: { earKey, linkWrapperKey, participantKey }, joinSecret, replyPackage },
  };
}

function takeRequest(core: Core, turn: Turn, asking: Contact): void {
  const id = printId(asking.user);
  const before = turn.get(contacts, id);
  if (before?.isBlocked === true) return;
  switch (before?.standing) {
    case undefined:
    case 'rejected':
      if (before?.forgotten !== undefined) endForgotten(core, turn, before.forgotten);
      turn.put(contacts, id, asking);
      core.news.put(turn, { kind: 'request', name: asking.userName });
      return;
    case 'asking':
      turn.put(contacts, id, asking);
      return;
    case 'asked':
      if (!isOursSmaller(core, before, asking)) giveWay(core, turn, before, asking);
      return;
    case 'connected':
      // One that crossed ours, or another conversation is wanted: a farewell tells.
      if (equal(before.recoveryKeyHash, asking.recoveryKeyHash)) {
        turn.put(contacts, id, { ...before, renewal: asking });
      }
      return;
    case 'accepting':
  }
}

function openAnswer(core: Core, by: ConnectionKey, section: SectionContent): Answer {
  const { crypto, trust } = core;
  const answer = readConnectionAnswer(section.plaintext);
  const { clientCredential, groupId, isAccepted } = answer.value;
  const { credential } = trust.by(domainOf(clientCredential), ({ authority, nowMs }) =>
    verifyClientCredential(crypto, clientCredential, authority, nowMs),
  );
  const to = { target: ownClient(core).user, connectionPackage: by.connectionPackage };
  if (!verifyConnectionAnswer(crypto, credential.publicKey, answer, to)) {
    throw new Failure('UNAUTHENTICATED', 'an answer is not what it says');
  }
  const { user } = credential.clientId;
  return { user, group: groupId, recoveryKeyHash: credential.recoveryKeyHash, isAccepted };
}

function takeAnswer(core: Core, turn: Turn, answer: Answer): void {
  const contact = turn.get(contacts, printId(answer.user));
  const isAsked =
    contact?.standing === 'asked' &&
    printId(contact.group) === printId(answer.group) &&
    equal(contact.recoveryKeyHash, answer.recoveryKeyHash);
  // Who accepts is seen to enter; the answer says it too, and nothing follows from that.
  if (!isAsked || answer.isAccepted) return;
  turn.put(contacts, printId(contact.user), { ...contact, standing: 'rejected' });
  core.news.put(turn, { kind: 'rejected', name: contact.userName });
  core.lanes.submit(turn, printId(contact.group), { kind: 'delete' });
}
