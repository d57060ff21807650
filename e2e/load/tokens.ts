import { constants, verify } from 'node:crypto';
import { eventsOf } from '@roost/aas/events';
import { Gate } from '@roost/aas/gate';
import { KeyRing } from '@roost/aas/key-ring';
import { classOf } from '@roost/aas/rules';
import { openAas } from '@roost/aas/service';
import { Spender } from '@roost/aas/spender';
import { MemoryLimiter } from '@roost/bus/memory';
import { ClientId, clientWire, UserId, uuidOf } from '@roost/core/ids';
import { DAY_MS, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import {
  type IssueTokensRequest,
  TokenServiceDefinition,
} from '@roost/proto/roost/tokens/v1/tokens';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { finishBatch, prepareBatch } from '@roost/tokens/blind';
import { authorizationHeader, newChallenge } from '@roost/tokens/challenge';
import { blindSignBatch, generateIssuerKey } from '@roost/tokens/node/issuer';
import { importPublicKey } from '@roost/tokens/node/verifier';
import { AUTHENTICATOR_INPUT_BYTES } from '@roost/tokens/token';
import { domain, type House, signing, silent } from './house.ts';
import { byTurns, round, type Row, type Spent, spentOn } from './measure.ts';
import { callAll } from './outgoing.ts';
import type { Bench, Scenario } from './scenario.ts';

/** What a token costs: to verify it and spend it durably, and to issue it. */
export const tokens: Scenario = {
  name: 'tokens',
  about: 'verify and spend a token, beside a bare verification; issuance',
  async run(bench) {
    const house = await bench.house();
    await using drawn = await draw(bench, house);
    const { all, ring, key } = drawn;
    const spender = new Spender(house.databases.of('aas'));
    const gate = new Gate({ ring, spender, classOf, domain, crypto, events: eventsOf(silent) });
    const { signal } = new AbortController();
    const direct = await measureGate(bench, house, all.slice(0, all.length / 2), {
      ...{ key, check: async (header) => void (await gate.check(SEND, header, signal)) },
    });
    const local = await measureGate(bench, house, all.slice(all.length / 2), {
      ...{ key, check: (header) => house.gate(SEND, header, signal) },
    });
    return [
      { ...rowOf('verify and spend', direct), ...judge(direct) },
      rowOf('the same as the edge calls it in process', local),
      drawn.issuance,
    ];
  },
};

const SEND = '/roost.delivery.v1.DeliveryService/SendMessage';
const BATCH = 100;
/** Checks under way at once. */
const IN_FLIGHT = 256;
const ROUNDS = 3;

interface Drawn {
  readonly raw: Uint8Array;
  readonly header: string;
}

/** Draws tokens from a replica of the AAS whose AS knows one account. */
async function draw(bench: Bench, house: House) {
  const perRound = bench.quick ? 200 : 1_000;
  const count = perRound * (ROUNDS + 1) * 2;
  const keys = crypto.ed25519.generate();
  const ports = { database: house.databases.of('aas'), clock: systemClock, crypto, log: silent };
  const secretKey = await house.secret('aas');
  await using stack = new AsyncDisposableStack();
  const ring = stack.use(new KeyRing({ ...ports, secretKey, threads: 1 }));
  await ring.rotate();
  const quantities = { general: count, contact: count };
  const aas = await openAas(
    { domain, quantities, issuerThreads: 1, secretKey },
    {
      ...ports,
      limiter: new MemoryLimiter(systemClock),
      authentication: anAsThatKnows(keys.publicKey),
    },
  );
  stack.defer(() => aas.close());

  const client = clientOf(TokenServiceDefinition, localTransport(aas.bindings, 'edge'), signing);
  const published = await ring.published();
  const { spki } =
    published.find((each) => each.tokenClass === 'general' && each.state === 'current') ?? {};
  if (spki === undefined) throw new Error('there is a key that issues');
  const who = ClientId.of(UserId.of(uuidOf(crypto.random(16)), domain), uuidOf(crypto.random(16)));
  const sign = { key: { kind: 'client' as const, client: who }, privateKey: keys.privateKey };
  bench.progress(`blinding ${count} tokens`);
  const prepared = Array.from({ length: count / BATCH }, () =>
    prepareBatch(crypto, spki, newChallenge(domain), BATCH),
  );
  const requestOf = (blinded: Uint8Array, batchNumber: number): IssueTokensRequest => ({
    ...{ clientId: clientWire(who), issuedClass: GENERAL, batchNumber, blinded },
    ...{ period: Math.floor(Date.now() / DAY_MS), tokenKeyId: crypto.sha256(spki) },
  });
  bench.progress(`issuing ${count} tokens`);
  const answers: Uint8Array[] = [];
  const spent = await spentOn(house.postmaster, async () => {
    await callAll(prepared, 4, async ({ requests }, at) => {
      answers[at] = (await client.issueTokens(requestOf(requests, at), { sign })).blindSignatures;
    });
  });
  bench.progress(`unblinding ${count} tokens`);
  const all = prepared.flatMap(({ state }, at): Drawn[] =>
    finishBatch(crypto, state, answers[at] ?? NOTHING).map((raw) => ({
      raw,
      header: authorizationHeader(raw),
    })),
  );
  const opened = stack.move();
  return {
    ...{ all, ring, key: importPublicKey(spki) },
    issuance: await issuanceRow(spent, count),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const GENERAL = 2;
const NOTHING = new Uint8Array(0);

function anAsThatKnows(signatureKey: Uint8Array): Parameters<typeof openAas>[1]['authentication'] {
  return {
    getClient: async () => ({
      ...{ signatureKey, isSuspended: false },
      ...{ generalAllowance: undefined, contactAllowance: undefined },
    }),
    signIssuerKeys: async () => ({ issuer: new Uint8Array(32), signature: new Uint8Array(64) }),
  };
}

interface Measured {
  readonly ours: Spent;
  readonly bare: Spent;
  readonly count: number;
}

/** Of the tokens, each is good for one turn only. */
async function measureGate(
  bench: Bench,
  { postmaster }: House,
  drawn: readonly Drawn[],
  {
    check,
    key,
  }: {
    readonly check: (header: string) => Promise<void>;
    readonly key: ReturnType<typeof importPublicKey>;
  },
): Promise<Measured> {
  bench.progress('verifying and spending');
  const perTurn = drawn.length / (ROUNDS + 1);
  const ofTurn = (turn: number): readonly Drawn[] =>
    drawn.slice(turn * perTurn, (turn + 1) * perTurn);
  const { ours, bare } = await byTurns(
    postmaster,
    ROUNDS,
    async (turn) => await callAll(ofTurn(turn), IN_FLIGHT, ({ header }) => check(header)),
    async (turn) => {
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      for (const { raw } of ofTurn(turn)) {
        const [input, signature] = [
          raw.subarray(0, AUTHENTICATOR_INPUT_BYTES),
          raw.subarray(AUTHENTICATOR_INPUT_BYTES),
        ];
        const isGood = verify('sha384', input, { key, padding, saltLength: 48 }, signature);
        if (!isGood) throw new Error('a token verifies');
      }
    },
  );
  return { ours, bare, count: perTurn * ROUNDS };
}

function rowOf(what: string, { ours, bare, count }: Measured): Row {
  const us = (seconds: number): string => `${round((seconds / count) * 1e6)} us`;
  return {
    what,
    figure:
      `${us(ours.node)} CPU = ${round(count / ours.node)}/s per core, + PostgreSQL ${us(ours.postgres)}; ` +
      `${round(count / ours.seconds)}/s`,
    bare: `bare verification ${us(bare.node)} = ${round(count / bare.node)}/s`,
    ratio: bare.node / ours.node,
  };
}

function judge({ ours, bare }: Measured): Partial<Row> {
  return { target: '>= 0.5', met: bare.node / ours.node >= 0.5 };
}

async function issuanceRow(spent: Spent, count: number): Promise<Row> {
  const key = await generateIssuerKey();
  const blinded = new Uint8Array(256 * BATCH).map((_, at) => (at % 256 === 0 ? 0 : at));
  const bare = await spentOn(0, () => blindSignBatch(key, blinded));
  const rates = { ours: count / spent.node, bare: BATCH / bare.node };
  return {
    what: 'issuance, one thread',
    figure: `${round(count / spent.seconds)} tokens/s; ${round((spent.node / count) * 1e6)} us CPU each`,
    bare: `bare signature ${round(1e6 / rates.bare)} us`,
    ratio: rates.ours / rates.bare,
  };
}
