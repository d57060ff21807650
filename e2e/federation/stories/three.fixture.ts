import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { PATIENCE_MS } from '@roost/e2e/patience';
import { Person } from '@roost/e2e/person';
import { World, type WorldOptions } from '@roost/e2e/world';
import {
  FederationAdminServiceDefinition,
  FederationMode,
  ListingKind,
} from '@roost/proto/roost/federation/v1/admin';
import { Sockets } from '../sockets.ts';

export const DOMAINS = ['a.example', 'b.example', 'c.example'] as const;
export type Name = (typeof DOMAINS)[number];

/** Of each service, the gateways too, where they are separate; `ROOST_FEDERATION_REPLICAS` for more. */
const REPLICAS = Number(process.env['ROOST_FEDERATION_REPLICAS'] ?? 1);

/** What comes from afar may wait for a minute: where a homeserver was looked for a moment ago. */
export const FAR_MS = PATIENCE_MS + 90_000;

/** Three homeservers that let everybody in, and people each of whom knows the door of one of them. */
export class Three implements AsyncDisposable {
  readonly sockets: Sockets;
  readonly #stack: AsyncDisposableStack;
  readonly #folder: string;
  readonly #worlds: ReadonlyMap<Name, World>;
  readonly #people = new Set<Person>();

  private constructor(
    stack: AsyncDisposableStack,
    { folder, worlds }: { folder: string; worlds: ReadonlyMap<Name, World> },
  ) {
    this.#stack = stack;
    this.sockets = stack.use(new Sockets());
    this.#folder = folder;
    this.#worlds = worlds;
    stack.defer(async () => {
      await Promise.all([...this.#people].map(async (one) => await this.part(one)));
    });
  }

  static async open(options: WorldOptions = {}): Promise<Three> {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), 'roost-people-'));
    stack.defer(() => rmSync(folder, { recursive: true }));
    const neighbourhood = stack.use(await Neighbourhood.open(DOMAINS));
    const worlds = new Map<Name, World>();
    for (const domain of DOMAINS) {
      const world = await World.open({ replicas: REPLICAS, ...options, domain, neighbourhood });
      worlds.set(domain, stack.use(world));
      const { setMode } = world.operator(FederationAdminServiceDefinition);
      await setMode({ mode: FederationMode.OPEN });
    }
    return new Three(stack.move(), { folder, worlds });
  }

  world(domain: Name): World {
    const found = this.#worlds.get(domain);
    if (found === undefined) throw new Error('all three are there');
    return found;
  }

  /** Its gateway, as its operator asks it. */
  operator(domain: Name) {
    return this.world(domain).operator(FederationAdminServiceDefinition);
  }

  async list(by: Name, domain: Name, kind: ListingKind): Promise<void> {
    const listing = { domain, kind, endpoint: '', note: '', sinceMs: 0n };
    await this.operator(by).setListing({ listing });
  }

  /** `ann@b.example` comes to the door of its homeserver. */
  async come(fullName: string): Promise<Person> {
    const [name = '', domain] = fullName.split('@');
    const at = DOMAINS.find((one) => one === domain);
    if (at === undefined) throw new Error('it is one of the three');
    const { door } = this.world(at);
    const coming = async () => await Person.come(name, { ...door, folder: this.#folder });
    const person = await this.sockets.as(fullName, coming);
    this.#people.add(person);
    return person;
  }

  /** Somebody is away from now on. */
  async part(person: Person): Promise<void> {
    this.#people.delete(person);
    await person[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Connects two, of whichever homeservers; their chat. */
export async function connect(asking: Person, asked: Person): Promise<string> {
  const [from, to] = [asking.client.userName, asked.client.userName];
  await asking.client.connect(to);
  await asked.until('request', ({ name }) => name === from, FAR_MS);
  await asked.client.accept(from);
  await asked.until('connected', ({ name }) => name === from, FAR_MS);
  return (await asking.until('connected', ({ name }) => name === to, FAR_MS)).chat;
}

export async function hear(
  people: readonly Person[],
  text: string,
  withinMs = FAR_MS,
): Promise<void> {
  const isIt = (event: { readonly text: string }) => event.text === text;
  await Promise.all(people.map(async (one) => await one.until('message', isIt, withinMs)));
}

/** So many at once, each in its turn. */
export async function each<T>(
  all: readonly T[],
  atOnce: number,
  work: (one: T) => Promise<void>,
): Promise<void> {
  const left = [...all];
  const worker = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

export async function say(speaker: Person, chat: string, text: string): Promise<void> {
  const { sent } = await speaker.client.send(chat, text);
  await sent;
}
