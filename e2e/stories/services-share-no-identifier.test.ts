// Invariant 8: no DS table or log holds a user id, an AS client id or a QS id; no QS table or log
// holds a user id or a group id; nothing joins two services' dumps. Everything that the clients of a
// story know is looked for in everything that the services keep and log, in every form.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fromHex, toHex, utf8 } from '@roost/core/bytes';
import { CutBus } from '@roost/e2e/cut-bus';
import { dump } from '@roost/e2e/dump';
import { tell } from '@roost/e2e/story';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { AllInOne } from '@roost/e2e/all-in-one';
import { ROLES } from '@roost/mls/roles';
import { toBase64 } from '@roost/rpc/frames';
import { createLog } from '@roost/service/log';
import { parseAuthorization } from '@roost/tokens/challenge';

const KINDS = [
  ...['user id', 'client id', 'name', 'client key', 'QS id', 'QS key', 'group id', 'group key'],
  ...['leaf key', 'link key', 'participant id', 'handle', 'push key', 'friendship token'],
  ...['access token', 'role', 'MLS bytes', 'title', 'text', 'address'],
] as const;
type Kind = (typeof KINDS)[number];
type Known = Record<Kind, Set<string>>;
const SERVICES = ['as', 'aas', 'qs', 'ds'] as const;
type Service = (typeof SERVICES)[number];

const bus = new CutBus();
let log = '';
let world: AllInOne;
let known: Known;
const beganAtMs = Date.now();
const dumps: Partial<Record<Service, string>> = {};

beforeAll(async () => {
  const destination = { write: (line: string) => void (log += line) };
  const options = { readable: false, destination };
  world = await AllInOne.open({ bus, log: createLog('home', 'debug', options) });
  const { people, group, dm } = await tell(world, 'nemo');
  const [owner, stays] = people;
  {
    // One that is asked to connect while nobody reads its queue.
    await using away = await Witness.come(world.door, 'nemo-away');
    await connectTwo(away, stays);
  }
  await owner.client.connect('nemo-away');
  bus.isCut = true;
  await (
    await owner.client.send(group, 'nemo: lies in the outbox')
  ).sent;
  await (
    await stays.client.send(dm, 'nemo: lies there too')
  ).sent;
  await owner.client.setTitle(group, 'nemo: changed meanwhile');
  await Promise.allSettled([
    owner.client.connect('nemo-nobody'),
    stays.client.connect('nemo-olga'),
  ]);
  known = await allThatIsKnown(people);
  for (const service of SERVICES) dumps[service] = await printed(service);
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  await world.stop();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

async function printed(service: Service): Promise<string> {
  const tables = await dump(world.databases[service]);
  return [...tables].map(([table, rows]) => `${table}\n${rows.join('\n')}`).join('\n');
}

/** As hex where it is bytes, as it is where it is text. */
async function allThatIsKnown(people: readonly Witness[]): Promise<Known> {
  const all = Object.fromEntries(KINDS.map((kind) => [kind, new Set<string>()])) as Known;
  const add = (kind: Kind, value: Uint8Array | string | undefined): void => {
    if (value !== undefined) all[kind].add(typeof value === 'string' ? value : toHex(value));
  };
  add('address', '127.0.0.1');
  for (const role of Object.keys(ROLES)) if (role !== 'none') add('role', role);
  for (const window of mlsWindows(people)) add('MLS bytes', window);
  for (const person of people) {
    const account = await person.account();
    const { client } = account.credentials ?? {};
    add('user id', client?.user.uuid);
    add('client id', client?.uuid);
    add('name', person.name);
    add('client key', account.signing.publicKey);
    add('client key', account.recovery.publicKey);
    add('QS id', account.qsUser?.uuid);
    add('QS id', account.qsClient?.uuid);
    for (const pair of [account.qsUserKey, account.qsClientKey, account.queueKey]) {
      add('QS key', pair.publicKey);
    }
    for (const { id, keys, leaf, members, title } of await person.groups()) {
      add('group id', id.uuid);
      for (const key of [keys.earKey, keys.linkWrapperKey, keys.participantKey]) {
        add('group key', key);
      }
      add('handle', leaf.handle);
      add('push key', leaf.pushKey);
      add('link key', leaf.linkKey);
      add('title', title === '' ? undefined : title);
      for (const member of members) {
        add('leaf key', member.signatureKey);
        add('participant id', member.participant);
      }
    }
    for (const { leaf } of await person.packages()) {
      add('handle', leaf.handle);
      add('push key', leaf.pushKey);
    }
    for (const { token, ownToken, friendshipKey } of await person.contacts()) {
      for (const secret of [token, ownToken, friendshipKey]) add('friendship token', secret);
    }
    for (const { authorization } of person.recorder.calls) {
      // Type and nonce: what the AAS remembers of a token.
      const token = parseAuthorization(authorization ?? '');
      add('access token', token?.slice(2, 34));
    }
    for (const event of person.events) if (event.kind === 'message') add('text', event.text);
  }
  return all;
}

/** Pieces of what the DS was given; but of KeyPackages, which lie at the QS for whoever claims them. */
function mlsWindows(people: readonly Witness[]): Uint8Array[] {
  const calls = people.flatMap(({ recorder }) => recorder.calls);
  const uploaded = calls.filter(({ path }) => path.includes('.QueueService/'));
  const atQueue = uploaded.map(({ request }) => toHex(request)).join(' ');
  const given = calls.filter(({ path }) =>
    /DeliveryService\/(Create|Commit|Send|Propose|Join)/.test(path),
  );
  return given.flatMap(({ request }) =>
    [0.3, 0.6, 0.9].flatMap((share) => {
      const from = Math.floor(request.length * share);
      const window = request.slice(from, from + WINDOW_BYTES);
      // Zeros and the like are found everywhere.
      const isTelling = new Set(window).size >= WINDOW_BYTES / 2;
      return isTelling && !atQueue.includes(toHex(window)) ? [window] : [];
    }),
  );
}

const WINDOW_BYTES = 24;

/** Every form in which a value could lie somewhere: itself, and each of its codings as bytes. */
function formsOf(value: string): string[] {
  const hex = value.replaceAll('-', '');
  const bytes = /^[0-9a-f-]{32,}$/.test(value) ? fromHex(hex) : undefined;
  const texts = bytes === undefined ? [value] : [value, hex, ...base64sOf(bytes)];
  return [...texts, ...texts.map((text) => toHex(utf8(text)))];
}

/** In base64 a value looks like three others, by where it stands in what is around it. */
function base64sOf(bytes: Uint8Array): string[] {
  return [0, 1, 2].flatMap((lead) => {
    const whole = toBase64(Uint8Array.of(...new Uint8Array(lead), ...bytes));
    const inner = whole.slice(
      Math.ceil((lead * 8) / 6),
      Math.floor(((lead + bytes.length) * 8) / 6),
    );
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** Which kinds of what the clients know are found in a text. */
function kindsIn(text: string): Kind[] {
  return KINDS.filter((kind) =>
    [...known[kind]].some((value) => formsOf(value).some((form) => text.includes(form))),
  );
}

test('the story gave something of each kind to look for, and left something undelivered', () => {
  expect(KINDS.filter((kind) => known[kind].size === 0)).toEqual([]);
  expect(/^outbox\n\(/m.test(dumps.ds ?? '')).toBe(true);
  expect(/^direct_messages\n\(/m.test(dumps.as ?? '')).toBe(true);
  expect(log.split('\n').length).toBeGreaterThan(5);
  expect(formsOf('00112233-4455-6677-8899-aabbccddeeff')).toContain('ABEiM0RVZneImaq7zN3u_');
});

test.each<[Service, Kind[]]>([
  ['as', ['user id', 'client id', 'name', 'client key']],
  ['aas', ['access token']],
  // A KeyPackage holds its leaf key and its handle for whoever claims it; the QS made neither known.
  ['qs', ['QS id', 'QS key', 'leaf key', 'handle', 'push key']],
  ['ds', ['group id']],
])('the tables of the %s hold only %j of what clients know', (service, kinds) => {
  expect(kindsIn(dumps[service] ?? '')).toEqual(kinds);
});

test('the log holds nothing of what clients know', () => {
  expect(kindsIn(log)).toEqual([]);
});

test('the tables of the DS tell no time but days and months, and when it was migrated', async () => {
  const columns = await world.databases.ds.query<{ type: string }>({
    text: `SELECT DISTINCT data_type AS type FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> 'migrations'`,
  });
  expect(columns.filter(({ type }) => /time|date|interval|json/.test(type))).toEqual([]);
  const tables = await dump(world.databases.ds);
  const rows = [...tables]
    .flatMap(([name, each]) => (name === 'migrations' ? [] : each))
    .join('\n');
  const now = Date.now();
  // Seconds, milliseconds and microseconds since 1970 in a column.
  const near = [...rows.matchAll(/(?<![0-9a-f\\x])\d{9,}(?![0-9a-f])/g)].filter(([digits]) =>
    [1, 1_000, 1_000_000].some((unit) => Math.abs(Number(digits) / unit - now / 1_000) < YEAR_S),
  );
  expect(near).toEqual([]);
  // Milliseconds as eight bytes inside of others, from the beginning of the story to now.
  const [first, last] = [beganAtMs, now].map((ms) => Math.floor(ms / FINE_MS));
  const prefixes = Array.from({ length: (last ?? 0) - (first ?? 0) + 1 }, (_, at) =>
    ((first ?? 0) + at).toString(16).padStart(12, '0'),
  );
  expect(prefixes.filter((prefix) => rows.includes(prefix))).toEqual([]);
});

const YEAR_S = 365 * 24 * 60 * 60;
/** The last two bytes of eight are left out. */
const FINE_MS = 2 ** 16;

test('no value lies in the tables of two services', () => {
  const joins: string[] = [];
  for (const one of SERVICES) {
    for (const value of valuesIn(dumps[one] ?? '')) {
      for (const other of SERVICES) {
        if (other !== one && (dumps[other] ?? '').includes(value)) {
          joins.push(`${one} and ${other}: ${value}`);
        }
      }
    }
  }
  expect(joins).toEqual([]);
});

/** Ids, and everything of eight bytes or more, as it is printed; also an id without its dashes. */
function valuesIn(text: string): Set<string> {
  const uuids = text.match(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [];
  const bytes = [...text.matchAll(/\\x([0-9a-f]{16,})/g)].map(([, hex = '']) => hex);
  const words = text.match(/[a-z][a-z0-9._-]{7,}/g) ?? [];
  const plain = words.filter((word) => !SHARED.has(word) && !/^[0-9a-f]+$/.test(word));
  const values = [...uuids, ...uuids.map((uuid) => uuid.replaceAll('-', '')), ...bytes, ...plain];
  return new Set(values);
}

/** What all services call alike and may: tables, and the homeserver's own domain. */
const SHARED = new Set<string>(['home.example', 'migrations']);
