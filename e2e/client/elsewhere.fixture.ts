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
    const neighbourhood = await Neighbourhood.open(['a.example', 'b.example']);
    // A name that leads to where nobody listens; asking a name server would take as long as that likes.
    const { address } = neighbourhood.of('a.example');
    neighbourhood.point('nowhere.example', [address.replace(/\d+$/, '99')]);
    const [a, b] = await Promise.all(
      ['a.example', 'b.example'].map((domain) => AllInOne.open({ domain, neighbourhood })),
    );
    if (a === undefined || b === undefined) throw new Error('two were opened');
    for (const world of [a, b]) {
      await world.operator(FederationAdminServiceDefinition).setMode({ mode: FederationMode.OPEN });
    }
    return new TwoHomes(a, b, neighbourhood);
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

/** Connects two by their whole names; returns their chat. */
export async function connectPeople(asking: Person, asked: Person): Promise<string> {
  const [from, to] = [asking.client.userName, asked.client.userName];
  await asking.client.connect(to);
  await asked.until('request', ({ name }) => name === from);
  await asked.client.accept(from);
  await asked.until('connected', ({ name }) => name === from);
  return (await asking.until('connected', ({ name }) => name === to)).chat;
}
