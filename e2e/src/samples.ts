import { readFileSync } from 'node:fs';
import { assert } from '@roost/core/assert';
import { equal } from '@roost/core/bytes';
import type { KeyPair } from '@roost/crypto/crypto';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { parseProof, type ProofKey } from '@roost/identity/proof';
import { idSigners, type Signer } from './chores.ts';
import type { Witness } from './witness.ts';

/** A row of the table of all rules. */
export interface Rule {
  readonly token: `TOKEN_CLASS_${'EXEMPT' | 'GENERAL' | 'CONTACT'}`;
  readonly caller: `CALLER_${
    | 'ANYONE'
    | 'NEW_KEY'
    | 'CLIENT'
    | 'QS_USER'
    | 'QS_CLIENT'
    | 'GROUP_MEMBER'
    | 'SERVICE'
    | 'OPERATOR'}`;
  /** 0 where it is that of all methods. */
  readonly requestBytesMax: number;
  /** What becomes of a call that costs nothing while nobody can count it. */
  readonly limiterAway: `LIMITER_AWAY_${'UNSPECIFIED' | 'PASS' | 'REFUSE'}`;
  /** Which service has the method. */
  readonly service: string;
}

const TABLE = new URL('../../proto/gen/rules.json', import.meta.url);

/** Every method by its path. */
export const RULES = Object.entries(
  JSON.parse(readFileSync(TABLE, 'utf8')) as Record<string, Rule>,
);

/** What clients call. */
export const OUTSIDE = RULES.filter(([, { caller }]) => !/SERVICE|OPERATOR|PEER/.test(caller));
export const STREAMS = /\/Listen(Direct)?$/;

/** The kind of proof that a caller makes. */
export const KIND: Partial<Record<Rule['caller'], ProofKey['kind']>> = {
  CALLER_NEW_KEY: 'new-key',
  CALLER_CLIENT: 'client',
  CALLER_QS_USER: 'qs-user',
  CALLER_QS_CLIENT: 'qs-client',
  CALLER_GROUP_MEMBER: 'leaf',
};

export function classOf({ token }: Rule): 'general' | 'contact' | undefined {
  if (token === 'TOKEN_CLASS_EXEMPT') return undefined;
  return token === 'TOKEN_CLASS_CONTACT' ? 'contact' : 'general';
}

/** A request of a method as a client made it, and as whom; an empty one where none did. */
export interface Sample {
  readonly request: Uint8Array;
  readonly signer: Signer;
  /** The same client in its other guises. */
  readonly others: readonly Signer[];
}

/** All requests of a method that were made; at least an empty one. */
export async function samplesOf(
  people: readonly Witness[],
  path: string,
  { caller }: Rule,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const sampled = async (person: Witness, request: Uint8Array, proof: Uint8Array | undefined) => {
    const signers = await signersOf(person, proof);
    const signer = signers.find(({ key }) => key.kind === KIND[caller]) ?? signers[0];
    assert(signer !== undefined, 'everybody signs in some way');
    samples.push({ request, signer, others: signers.filter((each) => each !== signer) });
  };
  for (const person of people) {
    for (const call of person.recorder.calls) {
      if (call.path === path) await sampled(person, call.request, call.proof);
    }
  }
  const [first] = people;
  if (samples.length === 0 && first !== undefined) {
    await sampled(first, new Uint8Array(0), undefined);
  }
  return samples;
}

/** One signer of each kind; those with bare keys hold the key that signed before. */
async function signersOf(person: Witness, proof: Uint8Array | undefined): Promise<Signer[]> {
  const account = await person.account();
  const groups = await person.groups();
  const pairs = [account.signing, account.qsUserKey, ...groups.map(({ leaf }) => leaf.signing)];
  const signed = proof === undefined ? undefined : parseProof(proof).key;
  const known = signed !== undefined && 'publicKey' in signed ? signed.publicKey : undefined;
  const found = pairs.find(({ publicKey }) => known !== undefined && equal(publicKey, known));
  const bare: KeyPair = found ?? crypto.ed25519.generate();
  return [
    ...Object.values(await idSigners(person)),
    { key: { kind: 'leaf', publicKey: bare.publicKey }, privateKey: bare.privateKey },
    { key: { kind: 'new-key', publicKey: bare.publicKey }, privateKey: bare.privateKey },
  ];
}
