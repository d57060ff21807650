// The spoof matrix: what somebody may try who wants to be heard as another, tried by every way in.
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { firstKey, type OwnKey } from '@roost/federation/keys';
import { sealEnvelope, tagOf, turned } from './forge.ts';
import { idOf, type Hostile } from './hostile.fixture.ts';
import { type Between, DELIVER, groupAt, type Said, type Way, WAYS } from './ways.ts';

export interface Envelope {
  readonly envelope: Uint8Array;
  readonly payload: Uint8Array;
}

/** Who says it, and who is not to believe it. */
export interface Parties extends Between {
  readonly a: Hostile;
  /** Another homeserver that is let in. */
  readonly c: string;
}

export interface Spoof {
  readonly name: string;
  /** What the other side hears, and what is counted where that says more. */
  readonly reason: string;
  readonly flaw?: string;
  /** The same for deliveries, where it differs. */
  readonly delivered?: { readonly reason: string; readonly flaw?: string };
  /** The ways by which it can be tried: all of them where nothing is said. */
  readonly by?: (way: Way) => boolean;
  /** The signature holds: that it was said is kept, and nothing else. */
  readonly isRecorded?: true;
  /** Only the last of what is said is the spoof. */
  readonly isLast?: true;
  readonly make: (way: Way, parties: Parties) => readonly Envelope[];
}

/** What is heard by way of a method. */
export function refusalOf({ kind }: Way, spoof: Spoof): Pick<Spoof, 'reason' | 'flaw'> {
  return kind === 'group' ? (spoof.delivered ?? spoof) : spoof;
}

/** A spoof that changes what the envelope says before it is signed, or by which key. */
function saying(
  change: (said: Said, parties: Parties, way: Way) => Partial<Said['words']>,
  key?: (parties: Parties) => OwnKey,
): Spoof['make'] {
  return (way, parties) => {
    const said = way.say(parties);
    const words = { ...said.words, ...change(said, parties, way) };
    return [sealed({ ...said, words }, key?.(parties) ?? parties.a.keys.current)];
  };
}

/** One that says all of its source, as it should be, but with this key. */
const by = (key: (parties: Parties) => OwnKey): Spoof['make'] => saying(() => ({}), key);

/** One about what is somewhere else than it should be. */
const about =
  (where: (parties: Parties, way: Way) => string): Spoof['make'] =>
  (way, parties) => [sealed(way.say(parties, where(parties, way)), parties.a.keys.current)];

export function sealed({ words, payload }: Said, key: OwnKey, keyId = idOf(key)): Envelope {
  const whole = { ...words, keyId, payloadHash: crypto.sha256(payload) };
  return { envelope: sealEnvelope(whole, key.privateKey), payload };
}

/** What is said as it should be. */
export function honest(way: Way, between: Between, { keys }: Hostile): Envelope {
  return sealed(way.say(between), keys.current);
}

const strange = new Map<string, OwnKey>();
function strangeKey({ a }: Parties): OwnKey {
  const key = strange.get(a.domain) ?? firstKey(crypto, a.domain, Date.now() - 1_000);
  strange.set(a.domain, key);
  return key;
}

/** Where a name with a dot at its end, in capitals or in another script is meant for the one without. */
const written =
  (change: (domain: string) => string): Spoof['make'] =>
  (way, parties) => {
    const at = way.kind === 'group' ? parties.source : parties.destination;
    return [sealed(way.say(parties, change(at)), parties.a.keys.current)];
  };

const BAD = 'BAD_ENVELOPE';
/** Names of users are folded as they are read: `bob@B.example` is bob, at whom it is. */
const isExact = ({ names }: Way): boolean => names !== 'user_name';

export const SPOOFS: readonly Spoof[] = [
  {
    name: "a key that is not its source's",
    reason: BAD,
    flaw: 'key-unknown',
    make: by(strangeKey),
  },
  {
    ...{ name: 'another key under the id of the right one', reason: BAD, flaw: 'signature' },
    make: (way, parties) => [
      sealed(way.say(parties), strangeKey(parties), idOf(parties.a.keys.current)),
    ],
  },
  {
    ...{ name: 'in the name of C, who is let in', reason: BAD, flaw: 'key-unknown' },
    make: saying((_, { c }) => ({ source: c })),
  },
  {
    ...{ name: 'in the name of a stranger', reason: 'FEDERATION_DENIED' },
    make: saying(() => ({ source: 'd.example' })),
  },
  {
    ...{ name: 'what was said to C, said again to us', reason: BAD, flaw: 'destination' },
    make: saying((_, { c }) => ({ destination: c })),
  },
  {
    ...{ name: 'in our own name', reason: BAD, flaw: 'source' },
    make: saying((_, { destination }) => ({ source: destination })),
  },
  {
    ...{ name: 'a source in capitals', reason: BAD, flaw: 'form' },
    make: saying((_, { source }) => ({ source: capital(source) })),
  },
  {
    ...{ name: 'a source with a dot at its end', reason: BAD, flaw: 'form' },
    make: saying((_, { source }) => ({ source: `${source}.` })),
  },
  {
    ...{ name: 'a source as a U-label', reason: BAD, flaw: 'form' },
    make: saying((_, { source }) => ({ source: otherScript(source) })),
  },
  {
    ...{ name: 'a key that has expired', reason: BAD, flaw: 'key-expired' },
    make: by(({ a }) => a.keys.expired),
  },
  {
    ...{ name: 'a key that was revoked', reason: BAD, flaw: 'key-revoked' },
    make: by(({ a }) => a.keys.revoked),
  },
  {
    ...{ name: 'a key of tomorrow', reason: BAD, flaw: 'key-early' },
    make: by(({ a }) => a.keys.early),
  },
  {
    ...{ name: 'said ten minutes ago', reason: 'CLOCK_SKEW' },
    make: saying(({ words }) => moved(words, -600_000)),
  },
  {
    ...{ name: 'said ten minutes ahead', reason: 'CLOCK_SKEW' },
    make: saying(({ words }) => moved(words, 600_000)),
  },
  {
    ...{ name: 'good for an hour', reason: BAD, flaw: 'times' },
    make: saying(({ words }) => ({ expiresMs: words.createdMs + 3_600_000 })),
  },
  {
    ...{ name: 'a bit of what it goes with is turned', reason: BAD, flaw: 'payload' },
    make: (way, parties) => {
      const { envelope, payload } = honest(way, parties, parties.a);
      return [{ envelope, payload: turned(payload, payload.length - 1) }];
    },
  },
  {
    ...{ name: 'signed for another method', reason: 'METHOD_UNKNOWN', isRecorded: true },
    // A delivery's method is compared before anything else is.
    delivered: { reason: BAD, flaw: 'method' },
    make: saying((_, __, way) => ({
      method: way.kind === 'call' ? DELIVER : (WAYS[0]?.method ?? ''),
    })),
  },
  {
    ...{
      name: 'a tag of another group than it names',
      reason: BAD,
      flaw: 'group',
      isRecorded: true,
    },
    make: saying((_, { source, destination }, way) => ({
      groupTag: tagOf(source, destination, groupAt(way.kind === 'call' ? destination : source)),
    })),
  },
  {
    ...{
      name: 'a number that it does not end with',
      reason: BAD,
      flaw: 'number',
      isRecorded: true,
    },
    make: saying(({ words }) => ({ number: { incarnation: 1, n: words.number.n + 1n } })),
  },
  {
    ...{ name: 'about what is at C', reason: 'FEDERATION_DENIED', isRecorded: true },
    delivered: { reason: BAD, flaw: 'group' },
    make: about(({ c }) => c),
  },
  {
    ...{ name: "about the source's own, or for a group of ours", isRecorded: true },
    ...{ reason: 'FEDERATION_DENIED', delivered: { reason: BAD, flaw: 'group' } },
    make: about(({ source, destination }, { kind }) => (kind === 'call' ? source : destination)),
  },
  {
    ...{ name: 'about a domain in capitals', reason: 'MALFORMED', isRecorded: true, by: isExact },
    make: written(capital),
  },
  {
    ...{ name: 'about a domain with a dot at its end, or as a U-label', isRecorded: true },
    reason: 'MALFORMED',
    make: (way, parties) => [
      ...written((domain) => `${domain}.`)(way, parties),
      ...written(otherScript)(way, parties),
    ],
  },
  {
    ...{ name: 'other words under a message id that was used', reason: 'REPLAY_MISMATCH' },
    ...{ isRecorded: true, isLast: true },
    make: (way, parties) => {
      const first = way.say(parties);
      const other = way.say(parties);
      const { messageId, expiresMs } = first.words;
      const words = { ...other.words, messageId, expiresMs: expiresMs - 1 };
      const key = parties.a.keys.current;
      return [sealed(first, key), sealed({ ...other, words }, key)];
    },
  },
];

function moved({ createdMs, expiresMs }: Said['words'], ms: number) {
  return { createdMs: createdMs + ms, expiresMs: expiresMs + ms };
}

function capital(domain: string): string {
  return domain.slice(0, 1).toUpperCase() + domain.slice(1);
}

/** The first letter in Cyrillic, which looks the same. */
function otherScript(domain: string): string {
  const [first = ''] = domain;
  return `${{ a: '\u0430', c: '\u0441' }[first] ?? '\u0432'}${domain.slice(1)}`;
}
