// Invariant 5: no method answers without what its rule asks for. The cases are made from the table
// of all rules, and go over the real port, byte for byte.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  ClientId,
  type Domain,
  parseDomain,
  QsClientId,
  QsUserId,
  UserId,
  uuidOf,
} from '@roost/core/ids';
import type { KeyPair } from '@roost/crypto/crypto';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type Witness } from '@roost/e2e/witness';
import type { Signer } from '@roost/e2e/chores';
import {
  classOf,
  KIND,
  OUTSIDE,
  type Rule,
  RULES,
  type Sample,
  samplesOf,
  STREAMS,
} from '@roost/e2e/samples';
import { tell } from '@roost/e2e/story';
import type { Tokens } from '@roost/e2e/tokens';
import { type Heard, type RawCall, Wire } from '@roost/e2e/wire';
import { World } from '@roost/e2e/world';
import { makeProof } from '@roost/identity/proof';

const INSIDE = RULES.filter(([, { caller }]) => /SERVICE|OPERATOR|PEER/.test(caller));
const COSTLY = OUTSIDE.filter(([, { token }]) => token !== 'TOKEN_CLASS_EXEMPT');
const FREE = OUTSIDE.filter(([, { token }]) => token === 'TOKEN_CLASS_EXEMPT');
const SIGNED = OUTSIDE.filter(([, { caller }]) => caller !== 'CALLER_ANYONE');
/** Everything that the rule of a method may answer with. */
const RULED = /^(METHOD_UNKNOWN|TOKEN_\w+|UNAUTHENTICATED|CLOCK_SKEW|HTTP.*|code .*)$/;

let world: World;
let people: readonly Witness[];
let tokens: Tokens;
let wire: Wire;

beforeAll(async () => {
  world = await World.open();
  ({ people, tokens } = await tell(world, 'rules'));
  wire = new Wire(world.door);
});
afterAll(async () => {
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  await world[Symbol.asyncDispose]();
});

interface Signed {
  readonly method: string;
  readonly request: Uint8Array;
  readonly audience?: Domain;
  readonly at?: number;
}

function sign(signer: Signer, { method, request, audience, at = Date.now() }: Signed): Uint8Array {
  return makeProof(crypto, signer, { method, request, audience: audience ?? world.domain }, at);
}

async function sampleOf(path: string, rule: Rule): Promise<Sample> {
  return (await samplesOf(people, path, rule)).at(-1) ?? nobody();
}

async function authorizationFor(rule: Rule): Promise<string | undefined> {
  const tokenClass = classOf(rule);
  return tokenClass === undefined ? undefined : await tokens.take(tokenClass);
}

async function both(call: RawCall): Promise<string[]> {
  const isStream = STREAMS.test(call.path);
  const heard = [await wire.grpc(call, isStream), await wire.web(call, isStream)];
  return heard.map(({ said }) => said);
}

async function ask(call: RawCall): Promise<Heard> {
  return await wire.grpc(call, STREAMS.test(call.path));
}

test('the table holds every kind of rule', () => {
  expect([INSIDE.length, COSTLY.length, FREE.length].every((count) => count >= 5)).toBe(true);
  expect(new Set(SIGNED.map(([, { caller }]) => KIND[caller])).size).toBe(5);
});

test.each(INSIDE)('%s is not there for clients', async (path, rule) => {
  const { request, signer } = await sampleOf(path, rule);
  const proof = sign(signer, { method: path, request });
  const authorization = await tokens.take('general');
  const bare = await both({ path });
  const whole = await both({ path, request, proof, authorization });
  expect([...bare, ...whole]).toEqual(Array.from({ length: 4 }, () => 'METHOD_UNKNOWN'));
});

test.each(COSTLY)('%s asks for its token before it looks at anything else', async (path, rule) => {
  const { request, signer } = await sampleOf(path, rule);
  const proof = sign(signer, { method: path, request });
  const call = { path, request, proof };
  const spent = await tokens.take(classOf(rule) ?? nobody());
  await ask({ ...call, request: new Uint8Array(0), authorization: spent });
  const other = await tokens.take(classOf(rule) === 'general' ? 'contact' : 'general');

  expect(await both(call)).toEqual(['TOKEN_REQUIRED', 'TOKEN_REQUIRED']);
  const garbage = 'PrivateToken token="AAAA"';
  expect(await both({ ...call, authorization: garbage })).toEqual(twice('TOKEN_INVALID'));
  const forged = spent.replace(/.{40}"$/, `${'A'.repeat(40)}"`);
  expect(await both({ ...call, authorization: forged })).toEqual(twice('TOKEN_INVALID'));
  const bearer = spent.replace('PrivateToken token=', 'Bearer ');
  expect(await both({ ...call, authorization: bearer })).toEqual(twice('TOKEN_INVALID'));
  expect(await both({ ...call, authorization: other })).toEqual(twice('TOKEN_REQUIRED'));
  expect(await both({ ...call, authorization: spent })).toEqual(twice('TOKEN_SPENT'));
  // Neither a body that is none, nor one that is too long, nor a broken proof is heard of before.
  const nonsense = { path, body: crypto.random(900_000), proof: crypto.random(100) };
  expect(await both(nonsense)).toEqual(twice('TOKEN_REQUIRED'));
  expect((await ask({ ...nonsense, authorization: spent })).said).toBe('TOKEN_SPENT');
});

test.each(FREE)('%s costs nothing', async (path, rule) => {
  const { request, signer } = await sampleOf(path, rule);
  const proof =
    KIND[rule.caller] === undefined ? undefined : sign(signer, { method: path, request });
  const heard = await both({ path, request, proof });
  for (const said of heard) expect(said).not.toMatch(RULED);
});

test.each(SIGNED)('%s asks for the proof that its rule names', async (path, rule) => {
  const { request, signer, others } = await sampleOf(path, rule);
  const own = { method: path, request };
  const heard: Record<string, string> = {};
  const hear = async (name: string, proof: Uint8Array | undefined): Promise<Heard> => {
    const authorization = await authorizationFor(rule);
    const answer = await ask({ path, request, proof, authorization });
    heard[name] = answer.said;
    return answer;
  };

  await hear('none', undefined);
  await hear('cut short', sign(signer, own).subarray(0, -1));
  await hear('one byte more', Uint8Array.of(...sign(signer, own), 0));
  await hear('another signature', flipped(sign(signer, own)));
  for (const other of others) await hear(`as ${other.key.kind}`, sign(other, own));
  await hear('another key', sign({ ...signer, privateKey: stranger().privateKey }, own));
  await hear('an unknown id', sign(unknown(signer), own));
  await hear('for another method', sign(signer, { ...own, method: otherMethod(path, rule) }));
  await hear('for another domain', sign(signer, { ...own, audience: elsewhere }));
  await hear('over other bytes', sign(signer, { ...own, request: Uint8Array.of(...request, 0) }));
  for (const minutes of [-3, 3]) {
    const at = Date.now() + minutes * 60_000;
    const { failure } = await hear(`${minutes} minutes`, sign(signer, { ...own, at }));
    const skew = Number(failure?.facts.serverTimeMs) - Date.now();
    expect(Math.abs(skew)).toBeLessThan(10_000);
  }

  const kinds = others.map(({ key }) => [`as ${key.kind}`, 'UNAUTHENTICATED']);
  expect(heard).toEqual({
    ...{ none: 'UNAUTHENTICATED', 'cut short': 'MALFORMED', 'one byte more': 'MALFORMED' },
    ...{ 'another signature': 'UNAUTHENTICATED', 'another key': 'UNAUTHENTICATED' },
    ...Object.fromEntries(kinds),
    // A key that stands for itself is looked for by the handler, in the request or the group.
    'an unknown id': 'publicKey' in signer.key ? expect.stringMatching(REFUSED) : 'UNAUTHENTICATED',
    ...{ 'for another method': 'UNAUTHENTICATED', 'for another domain': 'UNAUTHENTICATED' },
    ...{
      'over other bytes': 'UNAUTHENTICATED',
      '-3 minutes': 'CLOCK_SKEW',
      '3 minutes': 'CLOCK_SKEW',
    },
  });
});

test.each(OUTSIDE)(
  '%s is reached by its own name alone, with all that it asks for',
  async (path, rule) => {
    const { request, signer } = await sampleOf(path, rule);
    const isSigned = KIND[rule.caller] !== undefined;
    const authorization = await authorizationFor(rule);
    const other = authorization ?? (await tokens.take('general'));
    const tricks = tricksOn(path);
    for (const trick of tricks) {
      const proof = isSigned ? sign(signer, { method: trick, request }) : undefined;
      const call = { path: trick, request, proof, authorization: other };
      const heard = [await wire.grpc(call), await wire.web(call)].map(({ said }) => said);
      for (const said of heard)
        expect([trick, said]).toEqual([trick, expect.stringMatching(NOWHERE)]);
    }
    // The control: what was refused above was refused for its reason alone, and no token was taken.
    const proof = isSigned ? sign(signer, { method: path, request }) : undefined;
    const { said } = await ask({ path, request, proof, authorization });
    expect(said).not.toMatch(RULED);
  },
);

/** HTTP itself refuses a target that is none, and Envoy says so in our words. */
const NOWHERE = /^(METHOD_UNKNOWN|MALFORMED|HTTP 4\d\d|HTTP nothing)$/;
const REFUSED = /^(?!OK$|OPEN$|code|HTTP)/;
const elsewhere = parseDomain('elsewhere.example');
const stranger = (): KeyPair => crypto.ed25519.generate();

function tricksOn(path: string): string[] {
  const [, service = '', method = ''] = path.split('/');
  return [
    path.toUpperCase(),
    path.toLowerCase(),
    `/${path}`,
    `/${service}//${method}`,
    `${path}/`,
    `${path}.`,
    `${path}%20`,
    `${path}%00`,
    `${path}?token=none`,
    `${path}#`,
    `/%72${service.slice(1)}/${method}`,
    `/${service}%2F${method}`,
    `/${service}/./${method}`,
    `/${service}/x/../${method}`,
    `/${service.replaceAll('.', '/')}/${method}`,
    path.slice(1),
  ];
}

function unknown({ key, privateKey }: Signer): Signer {
  const uuid = uuidOf(crypto.random(16));
  switch (key.kind) {
    case 'client':
      return {
        key: { ...key, client: ClientId.of(UserId.of(uuid, world.domain), uuid) },
        privateKey,
      };
    case 'qs-user':
      return { key: { ...key, qsUser: QsUserId.of(uuid, world.domain) }, privateKey };
    case 'qs-client':
      return { key: { ...key, qsClient: QsClientId.of(uuid, world.domain) }, privateKey };
    case 'leaf':
    case 'new-key': {
      const pair = stranger();
      return { key: { ...key, publicKey: pair.publicKey }, privateKey: pair.privateKey };
    }
  }
}

/** Another method that the same key may call. */
function otherMethod(path: string, rule: Rule): string {
  const others = SIGNED.filter(([name, { caller }]) => name !== path && caller === rule.caller);
  return others[0]?.[0] ?? nobody();
}

function flipped(proof: Uint8Array): Uint8Array {
  const last = proof.length - 1;
  return proof.with(last, (proof[last] ?? 0) ^ 1);
}

function twice(said: string): string[] {
  return [said, said];
}

function nobody(): never {
  throw new Error('the story has people, and the table has methods');
}
