import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from '@jest/globals';
import { Person } from '@roost/e2e/person';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { World } from '@roost/e2e/world';
import {
  FederationAdminServiceDefinition,
  FederationMode,
} from '@roost/proto/roost/federation/v1/admin';

const DOMAINS = ['a.example', 'b.example', 'c.example'] as const;
const open = new AsyncDisposableStack();
const worlds = new Map<string, World>();
let people: Person[];

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'roost-people-'));
  open.defer(() => rmSync(folder, { recursive: true }));
  const neighbourhood = open.use(await Neighbourhood.open(DOMAINS));
  for (const domain of DOMAINS) {
    worlds.set(domain, open.use(await World.open({ domain, neighbourhood, replicas: 1 })));
  }
  await Promise.all(
    [...worlds.values()].map(async (world) => {
      const { setMode } = world.operator(FederationAdminServiceDefinition);
      await setMode({ mode: FederationMode.OPEN });
    }),
  );
  people = await Promise.all(
    [...worlds.values()].map(async ({ door, domain }) => {
      const name = { 'a.example': 'alice', 'b.example': 'bob' }[domain as string] ?? 'carol';
      return open.use(await Person.come(name, { ...door, folder }));
    }),
  );
}, 240_000);
afterAll(async () => await open.disposeAsync());

test('two people of two homeservers connect and write to each other', async () => {
  const [alice, bob] = people;
  if (alice === undefined || bob === undefined) throw new Error('they came');
  await alice.client.connect('bob@b.example');
  await bob.until('request', ({ name }) => name === 'alice@a.example');
  await bob.client.accept('alice@a.example');
  const { chat } = await alice.until('connected', ({ name }) => name === 'bob@b.example');
  await (
    await alice.client.send(chat, 'across')
  ).sent;
  await bob.hears('across');
  await (
    await bob.client.send(chat, 'and back')
  ).sent;
  await alice.hears('and back');
}, 240_000);
