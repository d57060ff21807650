import { Failure } from '@roost/core/failure';
import { parseUserName, printId, printUserName, type UserId } from '@roost/core/ids';
import { sleep } from '@roost/core/time';
import { fingerprintOf } from './connect.ts';
import { accountOf, type Core, ownClient } from './core.ts';
import { type Contact, contacts } from './state.ts';

/** How long a new contact may take to tell how it is added to groups. */
const FRIENDSHIP_MS = 30_000;
const POLL_MS = 50;

/** The people whom a client knows, by the names that are typed. */
export class People {
  readonly #core: Core;
  readonly #signal: AbortSignal;

  constructor(core: Core, signal: AbortSignal) {
    this.#core = core;
    this.#signal = signal;
  }

  /** `name@domain`; refuses what is no user name. */
  printed(name: string): string {
    return printUserName(parseUserName(name, accountOf(this.#core).domain));
  }

  /** Those who ask to connect, the oldest first. */
  asking(): Contact[] {
    return this.#all()
      .filter(({ standing }) => standing === 'asking')
      .toSorted((a, b) => a.sinceMs - b.sinceMs);
  }

  /** Who asks by this name, or the oldest without one. */
  askingAs(name: string | undefined): Contact {
    const printed = name === undefined ? undefined : this.printed(name);
    const asking = this.asking();
    const contact =
      printed === undefined ? asking[0] : asking.find(({ userName }) => userName === printed);
    if (contact !== undefined) return contact;
    const sentence =
      printed === undefined ? 'nobody asks to connect' : `${printed} does not ask to connect`;
    throw new Failure('USER_UNKNOWN', sentence);
  }

  /** Anybody who asked or was asked to connect. */
  known(name: string): Contact {
    const printed = this.printed(name);
    const contact = this.called(printed);
    if (contact !== undefined) return contact;
    throw new Failure('USER_UNKNOWN', `nothing is known of ${printed}; connect first`);
  }

  /** Somebody with whom there is a conversation, or is about to be. */
  talking(name: string): Contact | undefined {
    const contact = this.called(this.printed(name));
    const isTalking =
      contact?.standing === 'asked' ||
      contact?.standing === 'accepting' ||
      contact?.standing === 'connected';
    if (isTalking && contact?.isBlocked === true) {
      throw new Failure('NOT_ALLOWED', `you blocked ${contact.userName}; unblock first`);
    }
    return isTalking ? contact : undefined;
  }

  /** Whose conversation a group is. */
  inGroup(group: string): Contact | undefined {
    return this.#all().find((contact) => printId(contact.group) === group);
  }

  /** Contacts by their names, once they have told how they are added. */
  async friends(names: readonly string[]): Promise<UserId[]> {
    const printed = [...new Set(names.map((name) => this.printed(name)))];
    for (const name of printed) {
      const contact = this.called(name);
      if (contact?.standing !== 'connected') {
        throw new Failure('NOT_ALLOWED', `you are not connected with ${name}; connect first`);
      }
      if (contact.isBlocked === true) {
        throw new Failure('NOT_ALLOWED', `you blocked ${name}; unblock first`);
      }
    }
    const late = (): string | undefined =>
      printed.find((name) => this.called(name)?.token === undefined);
    for (let waited = 0; waited < FRIENDSHIP_MS && late() !== undefined; waited += POLL_MS) {
      if (this.#signal.aborted) break;
      await sleep(POLL_MS, this.#signal);
    }
    const missing = late();
    if (missing !== undefined) {
      throw new Failure('UNAVAILABLE', `${missing} has not said yet how to be added; try later`);
    }
    return printed.flatMap((name) => this.called(name)?.user ?? []);
  }

  /** The same digits on both sides, to be compared over another way. */
  fingerprint(name: string): string {
    const contact = this.known(name);
    const { signing, recovery } = accountOf(this.#core);
    const own = {
      user: ownClient(this.#core).user,
      clientKey: signing.publicKey,
      recoveryKeyHash: this.#core.crypto.sha256(recovery.publicKey),
    };
    return fingerprintOf(this.#core, [contact, own]);
  }

  /** Somebody known by this name, as `name@domain`. */
  called(printed: string): Contact | undefined {
    return this.#all().find(({ userName }) => userName === printed);
  }

  #all(): Contact[] {
    return this.#core.ledger.list(contacts).map(([, contact]) => contact);
  }
}
