import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '@roost/core/time';
import { AllInOne } from '@roost/e2e/all-in-one';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { PATIENCE_MS } from '@roost/e2e/patience';
import { Person } from '@roost/e2e/person';
import { Chat } from '@roost/e2e/terminal';
import {
  FederationAdminServiceDefinition,
  FederationMode,
  ListingKind,
} from '@roost/proto/roost/federation/v1/admin';

/** Two homeservers that exchange messages, and people of theirs; all in this process. */
export class TwoHomes implements AsyncDisposable {
  readonly a: AllInOne;
  readonly b: AllInOne;
  readonly #neighbourhood: Neighbourhood;
  readonly #folder = mkdtempSync(join(tmpdir(), 'roost-elsewhere-'));

  private constructor(a: AllInOne, b: AllInOne, neighbourhood: Neighbourhood) {
    this.a = a;
    this.b = b;
    this.#neighbourhood = neighbourhood;
  }

  static async open(): Promise<TwoHomes> {
    const neighbourhood = await Neighbourhood.open(['a.example', 'b.example', 'c.example']);
    // A name that leads to where nobody listens; asking a name server would take as long as that likes.
    const { address } = neighbourhood.of('a.example');
    neighbourhood.point('nowhere.example', [address.replace(/\d+$/, '99')]);
    const [a, b] = await Promise.all([
      openHome('a.example', neighbourhood),
      openHome('b.example', neighbourhood),
    ]);
    return new TwoHomes(a, b, neighbourhood);
  }

  /** A third one beside them, `c.example`; the test ends it. */
  async third(): Promise<AllInOne> {
    return await openHome('c.example', this.#neighbourhood);
  }

  /** What the operator of one says of another from now on. */
  async list(home: AllInOne, domain: string, kind: ListingKind): Promise<void> {
    const listing = { domain, kind, endpoint: '', note: '', sinceMs: 0n };
    await home.operator(FederationAdminServiceDefinition).setListing({ listing });
  }

  /** Somebody of a homeserver, who speaks with that one alone. */
  async come(name: string, home: AllInOne): Promise<Person> {
    return await Person.come(name, { ...home.door, folder: this.#folder });
  }

  /** The terminal client of somebody; the test ends it. */
  chat(name: string, home: AllInOne): Chat {
    return new Chat({ ...home.door, folder: this.#folder }, name);
  }

  /** Waits until all that a hub has for the other homeserver is there. */
  async delivered(hub: AllInOne): Promise<void> {
    const { listOutbox } = hub.operator(FederationAdminServiceDefinition);
    const isEmpty = async () => (await listOutbox({})).lanes.every(({ events }) => events === 0n);
    const isSent = async () =>
      (await hub.databases.ds.query({ text: 'SELECT FROM outbox LIMIT 1' })).length === 0;
    for (let waited = 0; waited < PATIENCE_MS; waited += 20) {
      if ((await isSent()) && (await isEmpty())) return;
      await sleep(20);
    }
    throw new Error('something is not delivered');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a[Symbol.asyncDispose](), this.b[Symbol.asyncDispose]()]);
    this.#neighbourhood[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

/** A homeserver that lets everybody in. */
async function openHome(domain: string, neighbourhood: Neighbourhood): Promise<AllInOne> {
  const home = await AllInOne.open({ domain, neighbourhood });
  await home.operator(FederationAdminServiceDefinition).setMode({ mode: FederationMode.OPEN });
  return home;
}

/** Connects two by their whole names; returns their chat. */
export async function connectPeople(asking: Person, asked: Person): Promise<string> {
  const [from, to] = [asking.client.userName, asked.client.userName];
  await asking.client.connect(to);
  await asked.until('request', ({ name }) => name === from);
  await asked.client.accept(from);
  await asked.until('connected', ({ name }) => name === from);
  return (await asking.until('connected', ({ name }) => name === to)).chat;
}
