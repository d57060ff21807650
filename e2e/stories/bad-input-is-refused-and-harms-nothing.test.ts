// Invariant 12: malformed and oversized input gets a clear status and changes nothing; it never
// stops what comes behind it. Every refusal has a reason, none is an internal error.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { servicesOf } from '@roost/client/calls';
import { concat } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { clientWire, parseDomain, scopedWire, UserId, uuidOf } from '@roost/core/ids';
import { DAY_MS, sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Signer } from '@roost/e2e/chores';
import { dumpAll } from '@roost/e2e/dump';
import { classOf, KIND, OUTSIDE, type Sample, samplesOf, STREAMS } from '@roost/e2e/samples';
import { randomOf } from '@roost/e2e/random';
import { tell } from '@roost/e2e/story';
import { Tokens } from '@roost/e2e/tokens';
import { type Heard, Wire } from '@roost/e2e/wire';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { World } from '@roost/e2e/world';
import { makeClientCredentialRequest } from '@roost/identity/credentials';
import { makeProof } from '@roost/identity/proof';
import { SectionType } from '@roost/proto/roost/authentication/v1/authentication';
import {
  CommitRequest,
  CommitResponse,
  SendMessageRequest,
} from '@roost/proto/roost/delivery/v1/delivery';
import type { CallOptions } from '@roost/rpc/call';
import { connectTo } from '@roost/e2e/door';

const SEND = '/roost.delivery.v1.DeliveryService/SendMessage';
const COMMIT = '/roost.delivery.v1.DeliveryService/Commit';
const samples = new Map<string, readonly Sample[]>();
const elsewhere = parseDomain('elsewhere.example');
let world: World;
let tokens: Tokens;
let wire: Wire;

beforeAll(async () => {
  world = await World.open();
  const { people, ...story } = await tell(world, 'bad');
  tokens = story.tokens;
  for (const [path, rule] of OUTSIDE) {
    samples.set(path, await samplesOf(people, path, rule));
  }
  // They go, so that nothing changes but by what the test sends.
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  wire = new Wire(world.door);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** Calls a method properly in everything but the request. */
async function ask(path: string, request: Uint8Array, signer: Signer | undefined): Promise<Heard> {
  const rule = OUTSIDE.find(([name]) => name === path)?.[1];
  if (rule === undefined) throw new Error(`there is no ${path}`);
  const tokenClass = classOf(rule);
  const authorization = tokenClass && (await tokens.take(tokenClass));
  const binding = { method: path, audience: world.domain, request };
  const isSigned = signer !== undefined && KIND[rule.caller] !== undefined;
  const proof = isSigned ? makeProof(crypto, signer, binding, Date.now()) : undefined;
  return await wire.grpc({ path, request, proof, authorization }, STREAMS.test(path));
}

/** What all services keep, but for what the test's own tokens cost. */
async function kept(path: string): Promise<Record<string, string[]>> {
  const all = await dumpAll(world);
  if (path.endsWith('/IssueTokens')) return all;
  const { 'aas.allowances': _drawn, 'aas.batches': _batches, ...others } = all;
  return others;
}

/** The same, once what was accepted has come to rest. */
async function rested(path: string): Promise<string> {
  for (let before = ''; ; await sleep(20)) {
    const now = await kept(path);
    const text = JSON.stringify(now);
    if (text === before && now['ds.outbox']?.length === 0) return text;
    before = text;
  }
}

/** The services, as somebody who signs and pays properly. */
function services() {
  const channel = connectTo(world.door);
  const made = servicesOf(channel, { crypto, clock: systemClock, audience: world.domain });
  return { ...made, [Symbol.dispose]: () => channel.close() };
}

async function paid(): Promise<CallOptions> {
  return { token: await tokens.takeRaw('contact') };
}

function* spoiled(request: Uint8Array, random: () => number): Generator<Uint8Array> {
  const at = (): number => Math.floor(random() * request.length);
  yield crypto.random(64);
  yield crypto.random(3_000);
  if (request.length === 0) return;
  yield request.subarray(0, at());
  yield request.subarray(0, -1);
  yield Uint8Array.of(...request, 0xff);
  for (let count = 0; count < 6; count++) {
    const bit = at();
    yield request.with(bit, (request[bit] ?? 0) ^ (1 << Math.floor(random() * 8)));
  }
  const from = at();
  yield concat(request.subarray(0, from), request.subarray(from + 8));
}

const NAMES = [
  '',
  'a',
  'x'.repeat(64),
  '-ab',
  'ab.',
  'a b',
  'a/b',
  'ünï',
  'a@b@c',
  "a'b",
  'a\u0000b',
];

test.each(OUTSIDE)('%s takes nothing that is longer than its rule allows', async (path, rule) => {
  const [sample] = samples.get(path) ?? [];
  const bytesMax = rule.requestBytesMax === 0 ? 65_536 : rule.requestBytesMax;
  const before = await kept(path);
  const { said, failure } = await ask(path, new Uint8Array(bytesMax + 1), sample?.signer);
  expect([said, failure?.message]).toEqual(['TOO_LARGE', expect.stringContaining(`${bytesMax}`)]);
  expect(await kept(path)).toEqual(before);
});

test.each(OUTSIDE)('%s refuses random, cut and flipped bytes, and goes on', async (path) => {
  const random = randomOf(path.length);
  const all = samples.get(path) ?? [];
  const some = all.filter((_, at) => at % Math.ceil(all.length / 3) === 0);
  let before = await rested(path);
  const said: string[] = [];
  for (const { request, signer } of some) {
    for (const bytes of spoiled(request, random)) {
      const heard = await ask(path, bytes, signer);
      said.push(heard.said);
      // A bit may be none that matters, or make another request that is as good.
      const isGood = heard.said === 'OK' || heard.said === 'OPEN';
      if (isGood) before = await rested(path);
      else expect(JSON.stringify(await kept(path)) === before).toBe(true);
    }
  }
  expect(said.filter((each) => /^(code|HTTP)/.test(each))).toEqual([]);
});

test('messages and commits of other epochs hear which one it is', async () => {
  const { request, signer } = sampleOf(SEND);
  const sent = SendMessageRequest.decode(request);
  const tls = sent.message?.tls ?? new Uint8Array(0);
  const ofEpoch = (epoch: bigint): Uint8Array => {
    // MLSMessage: version, wire format, the group id with one or two bytes of length, the epoch.
    const at = 4 + ((tls[4] ?? 0) < 64 ? 1 : 2) + idLength(tls);
    const changed = tls.slice();
    new DataView(changed.buffer).setBigUint64(at, epoch);
    return SendMessageRequest.encode({ ...sent, message: { tls: changed } }).finish();
  };
  const ahead = await ask(SEND, ofEpoch(1_000n), signer);
  expect([ahead.said, ahead.failure?.facts.currentEpoch]).toEqual([
    'EPOCH_UNKNOWN',
    expect.any(BigInt),
  ]);
  const commit = sampleOf(COMMIT);
  const asked = CommitRequest.decode(commit.request);
  const handshake = asked.commit?.tls ?? new Uint8Array(0);
  const last = handshake.length - 1;
  const late = { tls: handshake.with(last, (handshake[last] ?? 0) ^ 1) };
  const bytes = CommitRequest.encode({ ...asked, commit: late }).finish();
  const { said, message = new Uint8Array(0) } = await ask(COMMIT, bytes, commit.signer);
  expect([said, CommitResponse.decode(message).result?.$case]).toEqual(['OK', 'conflict']);
});

test.each(NAMES)('nobody is called %j', async (userName) => {
  const { publicKey, privateKey } = crypto.ed25519.generate();
  using service = services();
  const request = {
    registrationId: crypto.random(16),
    userName,
    credentialRequest: makeClientCredentialRequest(
      crypto,
      { publicKey, privateKey },
      crypto.random(32),
    ),
    inviteCode: '',
  };
  const sign = { key: { kind: 'new-key', publicKey } as const, privateKey };
  const begun = service.authentication.beginRegistration(request, { sign });
  await expect(begun).rejects.toMatchObject({ reason: 'MALFORMED', facts: { field: 'user_name' } });
  const found = service.authentication.findUser({ userName }, await paid());
  await expect(found).rejects.toMatchObject({ reason: 'MALFORMED' });
  await expect(Witness.come(world.door, userName)).rejects.toMatchObject({
    reason: 'MALFORMED',
  });
});

test('a name that is taken, unknown or of another homeserver is refused as such', async () => {
  await using owner = await Witness.come(world.door, 'bad-otto');
  const taken = Witness.come(world.door, 'Bad-OTTO');
  await expect(taken).rejects.toMatchObject({ reason: 'NAME_TAKEN' });
  const foreign = Witness.come(world.door, 'bad-bert@elsewhere.example');
  await expect(foreign).rejects.toMatchObject({ reason: 'FEDERATION_DENIED' });
  const { client } = owner;
  await expect(client.connect('bad-nobody')).rejects.toMatchObject({ reason: 'USER_UNKNOWN' });
  const far = client.connect('bert@elsewhere.example');
  await expect(far).rejects.toMatchObject({
    reason: 'FEDERATION_DENIED',
    message: expect.stringContaining('federation is not configured'),
  });
  // A name that was refused is still free, and the one who asked may have another.
  await using fold = await Witness.come(world.door, 'Bad-Fold');
  expect(fold.client.userName).toBe('bad-fold@home.example');
});

test('what belongs to another homeserver is refused by every method that could reach it', async () => {
  using service = services();
  const uuid = uuidOf(crypto.random(16));
  const userId = scopedWire(UserId.of(uuid, elsewhere));
  const groupId = { uuid: crypto.random(16), domain: elsewhere };
  const pair = crypto.ed25519.generate();
  const sign = { key: { kind: 'leaf', publicKey: pair.publicKey } as const, ...pair };
  const general = async (): Promise<CallOptions> => ({
    sign,
    token: await tokens.takeRaw('general'),
  });
  const earKey = crypto.random(32);
  // Drawn before the first call: a refusal must find somebody who waits for it.
  const contact = [await paid(), await paid(), await paid()];
  const ordinary = [await general(), await general()];
  const refused = [
    service.authentication.findUser({ userName: 'bert@elsewhere.example' }, contact.pop()),
    service.authentication.enqueueDirect(
      {
        userId,
        messageId: crypto.random(16),
        messages: [{ clientId: { user: userId, uuid: crypto.random(16) }, sections: [] }],
      },
      contact.pop(),
    ),
    service.delivery.getLog({ groupId, earKey, fromEpoch: 0n }, ordinary.pop()),
    service.delivery.sendMessage({ groupId, earKey, message: undefined }, ordinary.pop()),
    service.queue.claimAddPackages(
      {
        claimId: crypto.random(16),
        ownerDomain: elsewhere,
        friendshipToken: crypto.random(32),
        groupId,
      },
      contact.pop(),
    ),
  ];
  const denied = { reason: 'FEDERATION_DENIED' };
  await Promise.all(refused.map((each) => expect(each).rejects.toMatchObject(denied)));
});

test('a long message is taken, one that is too long is refused, and those behind it arrive', async () => {
  const large = SendMessageRequest.decode(sampleOf(SEND).request);
  const message = { tls: new Uint8Array(262_145) };
  const request = SendMessageRequest.encode({ ...large, message }).finish();
  const { said, failure } = await ask(SEND, request, sampleOf(SEND).signer);
  expect([said, failure?.message]).toEqual(['TOO_LARGE', expect.stringContaining('262144')]);

  await using pat = await Witness.come(world.door, 'bad-pat');
  await using roy = await Witness.come(world.door, 'bad-roy');
  const chat = await connectTwo(pat, roy);
  const long = 'long '.repeat(51_000);
  await (
    await pat.client.send(chat, long)
  ).sent;
  await roy.hears(long);
  const longer = pat.client.send(chat, 'x'.repeat(262_145));
  await expect(longer).rejects.toMatchObject({ reason: 'TOO_LARGE' });
  await (
    await pat.client.send(chat, 'behind it')
  ).sent;
  await roy.hears('behind it');
});

test('a direct queue that is full says so, and takes more once it is read', async () => {
  await using vic = await Witness.come(world.door, 'bad-vic');
  await using wes = await Witness.come(world.door, 'bad-wes');
  using service = services();
  const { credentials } = await vic.account();
  if (credentials === undefined) throw new Error('who came has credentials');
  const { client } = credentials;
  const { IDENTITY, AVATAR, FIRST_MESSAGE, STATUS } = SectionType;
  const types = [IDENTITY, AVATAR, FIRST_MESSAGE, STATUS];
  const fill = async (): Promise<unknown> => {
    const sections = types.map((type) => ({ type, sealed: crypto.random(65_000) }));
    const messages = [{ clientId: clientWire(client), sections }];
    const userId = scopedWire(client.user);
    const request = { userId, messageId: crypto.random(16), messages };
    return await service.authentication.enqueueDirect(request, await paid()).then(
      () => undefined,
      (error: unknown) => error,
    );
  };
  let refusal: unknown;
  for (let count = 0; count < 80 && refusal === undefined; count++) refusal = await fill();
  expect(refusal).toMatchObject({ reason: 'QUEUE_FULL' });

  // Nonsense lies in front of what is real: whoever reads it goes on to what is behind.
  await world.stop();
  await world.start();
  for (let again: unknown = refusal; again !== undefined; await sleep(50)) {
    again = await wes.client.connect(vic.name).then(
      () => undefined,
      (error: unknown) => error,
    );
  }
  await vic.until('request');
});

test('an allowance that is used up says when the next begins, and what is there goes on', async () => {
  await using poor = await World.open({ quantities: { general: 120, contact: 101 } });
  await using ann = await Witness.come(poor.door, 'ann');
  await using ben = await Witness.come(poor.door, 'ben');
  const purse = await Tokens.of(ann, poor.door);
  const refused = await purse.draw('general', 50).catch((error: unknown) => error);
  expect(refused).toMatchObject({ reason: 'ALLOWANCE_EXHAUSTED' });
  const { retryAfterMs = 0 } = refused instanceof Failure ? refused.facts : {};
  expect(retryAfterMs).toBeGreaterThan(0);
  expect(retryAfterMs).toBeLessThanOrEqual(DAY_MS);

  const chat = await connectTwo(ann, ben);
  for (let count = 0; count < 130; count++) await ann.client.send(chat, `ann ${count}`);
  const last = await ann.client.send(chat, 'one too many');
  await ben.hears('ann 60');
  // The wallet is empty; the message waits for tomorrow, and nobody is harmed.
  await ben.client.send(chat, 'I still can');
  await ann.hears('I still can');
  last.sent.catch(() => undefined);
});

function sampleOf(path: string): Sample {
  const sample = samples.get(path)?.[0];
  if (sample === undefined) throw new Error(`the story has no ${path}`);
  return sample;
}

function idLength(tls: Uint8Array): number {
  const first = tls[4] ?? 0;
  return first < 64 ? first : ((first & 0x3f) << 8) | (tls[5] ?? 0);
}
