// What has hit other federations (`advisories.ts` says what, and where each is tried), tried here: by every method
// that travels, where it is about methods.
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { REASONS } from '@roost/core/failure';
import { GroupId, parseDomain, uuidBytes } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { befriend, Person } from '@roost/e2e/person';
import { makeProof } from '@roost/identity/proof';
import {
  EnqueueDirectRequest,
  FindUserRequest,
  FindUserResponse,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { ClientMethod } from '@roost/rpc/client-methods';
import { encodeWith } from '@roost/rpc/definition';
import { makeCertificate } from './certificates.fixture.ts';
import { startCounting } from './counted.fixture.ts';
import { callPayload, eventsPayload, type Group, tagOf } from './forge.ts';
import { Hostile, Line } from './hostile.fixture.ts';
import { freePort, House } from './house.fixture.ts';
import { type Envelope, sealed } from './spoofs.ts';
import { DELIVER, fanOutOf, FEDERATED, FIRST, groupAt, requestOf, wordsOf } from './ways.ts';

const A = 'a.example';
const B = 'b.example';
const BETWEEN = { source: A, destination: B };
const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'roost-advisories-'));
const stack = new AsyncDisposableStack();
stack.defer(() => rmSync(folder, { recursive: true }));
let b: House;
let a: Hostile;
let line: Line;
let [ann, bob]: Person[] = [];
let signedBefore = 0;

beforeAll(async () => {
  stack.use(startCounting());
  const wellKnownPort = await freePort('127.0.0.2');
  a = stack.use(await Hostile.open({ domain: A, address: '127.0.0.2', wellKnownPort }));
  const certificate = makeCertificate({ commonName: B, names: `DNS:${B}` });
  const names = new Map([[A, ['127.0.0.2']]]);
  const place = { domain: B, address: '127.0.0.3', wellKnownPort, names, certificate };
  b = stack.use(await House.open({ ...place, ca: [a.certificate.cert] }));
  await b.list(A, 'allowed');
  line = stack.use(new Line(b, { ca: certificate.cert, claims: A }));
  ann = stack.use(await Person.come('ann', { folder, ...b.door }));
  bob = stack.use(await Person.come('bob', { folder, ...b.door }));
  signedBefore = b.signed();
});
afterAll(async () => await stack.disposeAsync());

/** As A's gateway says it, with everything around it as it should be. */
function called(
  { path, rule }: ClientMethod,
  request: Uint8Array,
  { group, proof }: { readonly group?: Group; readonly proof?: Uint8Array<ArrayBuffer> } = {},
): Envelope {
  const isOfGroup = rule.destination === 'group_id';
  const groupTag = isOfGroup && group ? tagOf(A, B, group) : new Uint8Array(0);
  const words = wordsOf(BETWEEN, path, groupTag);
  return sealed({ words, payload: callPayload(request, proof) }, a.keys.current);
}

const say = async ({ envelope, payload }: Envelope) => await line.call(envelope, payload);
const fine = new Set<string>(['answered', ...Object.keys(REASONS)]);
const named = (method: ClientMethod) => method.path.split('/').at(-1) ?? '';

test('numbers beyond all counting do no harm, in any request', async () => {
  const said: [string, string][] = [];
  for (const method of FEDERATED) {
    const group = groupAt(B);
    const codec = method.definition.requestType;
    const request = codec.decode(requestOf(method, group, B)) as Record<string, unknown>;
    const huge = Object.entries(request).flatMap(([name, value]): [string, unknown][] => {
      if (typeof value === 'bigint') return [[name, 2n ** 64n - 1n]];
      return typeof value === 'number' ? [[name, 2 ** 31 - 1]] : [];
    });
    const bytes = encodeWith(codec, { ...request, ...Object.fromEntries(huge) });
    said.push([named(method), await say(called(method, bytes, { group }))]);
  }
  expect(said.filter(([, reason]) => !fine.has(reason))).toEqual([]);
  expect(said).toHaveLength(FEDERATED.length);
});

/** A delivery of one event of a group of A's. */
function delivery(group: Group, n: bigint, { fanOut = fanOutOf('a word'), incarnation = 1 } = {}) {
  const number = { incarnation, n };
  const words = { ...wordsOf(BETWEEN, DELIVER, tagOf(A, B, group)), number };
  const payload = eventsPayload(group, [{ number, prev: FIRST, fanOut }]);
  return sealed({ words, payload }, a.keys.current);
}

async function marksOf(...deliveries: readonly Envelope[]): Promise<string[]> {
  const { results } = await line.client.deliver({ deliveries: [...deliveries] });
  return results.map(({ result }) => {
    if (result?.$case !== 'stored') return result?.value.reason ?? 'nothing';
    return String(new DataView(Uint8Array.from(result.value.mark).buffer).getBigUint64(4));
  });
}

test('numbers beyond all counting move nothing but the mark of the group that has them', async () => {
  const [one, two] = [groupAt(A), groupAt(A)];
  const most = 2n ** 63n - 1n;
  const told = await marksOf(
    ...[delivery(one, most + 1n), delivery(one, 2n ** 64n - 1n)],
    delivery(one, most, { incarnation: 2 ** 32 - 1 }),
  );
  expect(told).toEqual(['BAD_ENVELOPE', 'BAD_ENVELOPE', String(most)]);
  expect(await marksOf(delivery(one, 1n))).toEqual([String(most)]);
  expect(await marksOf(delivery(two, 1n))).toEqual(['1']);
});

test('ids that are none are refused by every method, whatever is in them', async () => {
  const before = await changing();
  const uuid = groupAt(B).uuid;
  const wrong: Group[] = [
    ...[0, 15, 17, 4_096].map((length) => ({ uuid: crypto.random(length), domain: B })),
    ...['../../etc/passwd', `${B}/../x`, `${B}\0`, `${B} `, `${B}%2f..`, ''].map((domain) => ({
      ...{ uuid, domain },
    })),
  ];
  const said: [string, string][] = [];
  for (const method of FEDERATED.filter(({ rule }) => rule.destination.endsWith('_id'))) {
    for (const group of wrong) {
      const request = requestOf(method, group, group.domain);
      said.push([named(method), await say(called(method, request, { group: groupAt(B) }))]);
    }
  }
  expect(new Set(said.map(([, reason]) => reason))).toEqual(new Set(['MALFORMED']));
  expect(await changing()).toEqual(before);
});

/** All but the record of what was said, and who is met. */
async function changing(): Promise<[string, string][]> {
  const own = /^federation\.(audit|seen|peers)/;
  return [...(await b.dump())].filter(([name]) => !own.test(name));
}

test('what is in a group is told to its members alone, and nobody hears whether it is there', async () => {
  if (ann === undefined || bob === undefined) throw new Error('both came');
  await befriend(ann, bob);
  const chat = await ann.client.createGroup('what nobody may read', ['bob']);
  await bob.until('joined', (event) => event.chat === chat);
  const { uuid, domain } = GroupId.fromText(chat, 'chat');
  const there = { uuid: uuidBytes(uuid), domain };
  const before = await changing();
  const methods = FEDERATED.filter(({ rule }) => rule.destination === 'group_id');
  const earKey = crypto.random(32);
  expect(methods.length).toBeGreaterThan(10);
  for (const method of methods) {
    const answers = [];
    for (const group of [there, groupAt(B)]) {
      const request = requestOf(method, group, B, { earKey });
      for (const proof of [undefined, new Uint8Array(100), ...proofs(method.path, request)]) {
        const each = called(method, request, { group, ...(proof === undefined ? {} : { proof }) });
        answers.push(await detailOf(each));
      }
    }
    const half = answers.length / 2;
    expect([named(method), answers.slice(0, half)]).toEqual([named(method), answers.slice(half)]);
    expect(answers.filter((answer) => answer.startsWith('answered'))).toEqual([]);
  }
  expect(await changing()).toEqual(before);
});

/** What somebody signs who is in no group: as whoever the method asks for. */
function proofs(method: string, request: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const { publicKey, privateKey } = crypto.ed25519.generate();
  return (['leaf', 'new-key'] as const).map((kind) => {
    const by = { key: { kind, publicKey }, privateKey };
    return makeProof(crypto, by, { method, audience: parseDomain(B), request }, Date.now());
  });
}

/** The reason and every word that goes with it. */
async function detailOf({ envelope, payload }: Envelope): Promise<string> {
  try {
    const { response } = await line.client.call({ envelope, payload });
    return `answered ${response.length}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test('one that is bad, or a page of them, keeps nobody else’s from being taken', async () => {
  const [one, two, three] = [groupAt(A), groupAt(A), groupAt(A)];
  const torn = { fanOut: new Uint8Array(300).fill(0xff) };
  const other = delivery(two, 1n);
  const told = await marksOf(
    ...[delivery(one, 1n), delivery(two, 1n, torn), { ...other, payload: torn.fanOut }],
    ...[{ ...other, envelope: torn.fanOut }, delivery(three, 1n)],
  );
  expect(told).toEqual(['1', 'MALFORMED', 'BAD_ENVELOPE', 'BAD_ENVELOPE', '1']);
  const page = Array.from({ length: 64 }, () => delivery(two, 1n, torn));
  expect(new Set(await marksOf(...page))).toEqual(new Set(['MALFORMED']));
  expect(await marksOf(delivery(two, 1n))).toEqual(['1']);
});

test('what would be much work is refused for its length', async () => {
  const group = groupAt(A);
  const number = { incarnation: 1, n: 1n };
  const many = Array.from({ length: 65 }, () => ({ number, prev: FIRST, fanOut: fanOutOf('x') }));
  const words = { ...wordsOf(BETWEEN, DELIVER, tagOf(A, B, group)), number };
  // Vectors that say that they hold a gigabyte.
  const says = Uint8Array.of(0, 1, ...group.uuid, 9, ...Buffer.from(A), 0xbf, 0xff, 0xff, 0xff);
  const fanOut = Uint8Array.of(0, 1, 0xbf, 0xff, 0xff, 0xff);
  const wrong = [
    eventsPayload(group, many),
    says,
    eventsPayload(group, [{ number, prev: FIRST, fanOut }]),
  ];
  const told = await marksOf(
    ...wrong.map((payload) => sealed({ words: anew(words), payload }, a.keys.current)),
  );
  expect(told).toEqual(['MALFORMED', 'MALFORMED', 'MALFORMED']);
  expect(await marksOf(delivery(group, 1n))).toEqual(['1']);
});

const anew = <T extends object>(words: T) => ({ ...words, messageId: crypto.random(16) });

test('a request to connect that makes no sense keeps no other from arriving', async () => {
  const find = FEDERATED.find((method) => named(method) === 'FindUser');
  const enqueue = FEDERATED.find((method) => named(method) === 'EnqueueDirect');
  if (find === undefined || enqueue === undefined) throw new Error('both travel');
  const asked = called(find, FindUserRequest.encode({ userName: `bob@${B}` }).finish());
  const { response } = await line.client.call(asked);
  const { userId } = FindUserResponse.decode(response);
  const empty = EnqueueDirectRequest.decode(new Uint8Array(0));
  const said: string[] = [];
  for (const length of [0, 1, 100]) {
    const bytes = { ...empty, userId, messageId: crypto.random(16) };
    const request = EnqueueDirectRequest.encode(bytes).finish();
    said.push(await say(called(enqueue, Uint8Array.of(...request, ...crypto.random(length)))));
  }
  expect(said.filter((reason) => !fine.has(reason) || reason === 'answered')).toEqual([]);
  await using carl = await Person.come('carl', { folder, ...b.door });
  await carl.client.connect('bob');
  await bob?.until('request', ({ name }) => name.startsWith('carl@'));
});

test('nothing that comes in is signed by us', () => {
  expect(b.signed()).toBe(signedBefore);
});

/** Lines of the sources of a folder, but for its tests. */
function linesOf(path: string, pattern: RegExp): string[] {
  const files = globSync(`${path}/**/*.ts`, { cwd: root, exclude: ['**/node_modules/**'] });
  return files
    .filter((file) => !/\.(test|fixture)\.ts$/.test(file))
    .flatMap((file) => {
      const lines = readFileSync(join(root, file), 'utf8').split('\n');
      return lines.flatMap((each) => (pattern.test(each) ? [`${file}: ${each.trim()}`] : []));
    })
    .toSorted();
}

test('what comes in is decoded and checked in one place, and what is signed is made of fields', () => {
  const gateway = 'services/federation-gateway/src';
  expect(linesOf(gateway, /\breadEnvelope\(|\bassertSigned\(/)).toEqual([
    expect.stringContaining('door.ts: assertSigned('),
    expect.stringContaining('door.ts: const sealed = readEnvelope('),
    // The operator's, of what was let in before.
    expect.stringContaining('admin/audit.ts: const { source, keyId } = readEnvelope('),
  ]);
  expect(linesOf(gateway, /\bsignWithLabel\(/)).toEqual([]);
  const signing = linesOf('libs/federation/src', /\bsignWithLabel\(/);
  // Each signs what it has encoded a line before.
  expect(signing.map((each) => each.replace(/.*signWithLabel\(([^)]*)\).*/, '$1'))).toEqual([
    'crypto, key.privateKey, LABEL, content',
    'crypto, key.privateKey, LABEL, content',
    'crypto, by.privateKey, LABEL, content',
  ]);
  // No handler of the peers' service gets around the door.
  const admitting = linesOf(`${gateway}/handlers`, /\bdoor\.admit\(/);
  expect(admitting.map((each) => each.replace(/.*\/(\w+)\.ts: .*/, '$1'))).toEqual([
    ...['call', 'deliver'],
  ]);
});
