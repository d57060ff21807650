// Seeds of what travels between services and in metadata, by the target that reads them.
import { encodeBusAnswer, encodeBusBatch } from '../../libs/bus/src/frames.ts';
import { encodeGroupEvent, type GroupEventHead } from '../../libs/bus/src/group-event.ts';
import { encodeQueueConfig } from '../../libs/bus/src/queue-config.ts';
import { encodeQueueBatch } from '../../libs/bus/src/queue.ts';
import {
  ClientId,
  GroupId,
  parseDomain,
  QsUserId,
  UserId,
  uuidOf,
} from '../../libs/core/src/ids.ts';
import { nodeCrypto as crypto } from '../../libs/crypto/src/node.ts';
import {
  encodeAddedLeaf,
  encodeCommitAad,
  makeLeafIdentity,
} from '../../libs/identity/src/leaf.ts';
import { makeProof, type ProofKey } from '../../libs/identity/src/proof.ts';
import { encodeBatchRequest } from '../../libs/tokens/src/batch.ts';
import { encodeChallenge, newChallenge } from '../../libs/tokens/src/challenge.ts';
import { encodeToken } from '../../libs/tokens/src/token.ts';

const domain = parseDomain('home.example');
const bytes = (size: number) => crypto.random(size);
const uuid = () => uuidOf(bytes(16));

export function makeFrameSeeds(): Record<string, readonly Uint8Array[]> {
  const leaf = { leafSignatureKey: bytes(32), participantId: bytes(16), wrappedLinkKey: bytes(60) };
  const other = { ...leaf, leafSignatureKey: bytes(32) };
  const keySigner = {
    clientCredential: bytes(80),
    nameBinding: bytes(40),
    privateKey: bytes(32),
  };
  const redeemed = { nonce: bytes(32), challengeDigest: bytes(32), tokenKeyId: bytes(32) };
  const { batch, answer } = busSeeds();
  return {
    'added-leaf': [encodeAddedLeaf(leaf)],
    'commit-aad': [{ added: [] }, { added: [leaf, other] }].map(encodeCommitAad),
    'leaf-identity': [makeLeafIdentity(crypto, keySigner, bytes(32), bytes(32))],
    'bus-batch': [batch],
    'bus-answer': [answer],
    'group-event': groupEvents(),
    'queue-batch': [
      encodeQueueBatch([
        { kind: 'event', storedAtMs: 1n, groupEvent: groupEvents()[0] ?? bytes(1) },
        { kind: 'gap', storedAtMs: 2n, events: 3n },
        { kind: 'low-water', storedAtMs: 3n, available: 4 },
      ]),
    ],
    'queue-config': [encodeQueueConfig({ domain, handle: bytes(32), pushKey: bytes(32) })],
    proof: proofs(),
    'token-batch': [encodeBatchRequest([{ truncatedTokenKeyId: 1, blinded: bytes(256) }])],
    'token-challenge': [encodeChallenge(newChallenge(domain))],
    token: [encodeToken({ ...redeemed, authenticator: bytes(256) })],
  };
}

function busSeeds() {
  const groupId = GroupId.of(uuid(), domain);
  const number = { incarnation: 1, n: 8n };
  const prev = { incarnation: 1, n: 7n };
  const kinds = ['gap', 'head'] as const;
  const events = [
    { kind: 'event' as const, groupId, number, prev, sealed: bytes(60) },
    ...kinds.map((kind) => ({ kind, groupId, number, prev, sealed: new Uint8Array(0) })),
  ];
  const gone = [{ groupId, handle: bytes(32) }];
  return {
    batch: encodeBusBatch({ source: domain, events }),
    answer: encodeBusAnswer({ marks: [{ groupId, mark: number }], gone }),
  };
}

function groupEvents(): Uint8Array[] {
  const head: GroupEventHead = {
    groupId: GroupId.of(uuid(), domain),
    epoch: 5n,
    acceptedAtMs: 1_700_000_000_000n,
  };
  const mlsMessage = bytes(40);
  const joiner = { keyPackageRef: bytes(32), joinerInfo: bytes(50) };
  return [
    encodeGroupEvent({ ...head, kind: 'commit', mlsMessage }),
    encodeGroupEvent({ ...head, kind: 'welcome', mlsMessage, joiner }),
    encodeGroupEvent({ ...head, kind: 'group-deleted' }),
  ];
}

function proofs(): Uint8Array[] {
  const { publicKey, privateKey } = crypto.ed25519.generate();
  const client = ClientId.of(UserId.of(uuid(), domain), uuid());
  const keys: ProofKey[] = [
    { kind: 'client', client },
    { kind: 'qs-user', qsUser: QsUserId.of(uuid(), domain) },
    { kind: 'leaf', publicKey },
    { kind: 'new-key', publicKey },
  ];
  const binding = {
    method: '/roost.queue.v1.QueueService/Ack',
    audience: domain,
    request: bytes(8),
  };
  return keys.map((key) => makeProof(crypto, { key, privateKey }, binding, 1_700_000_000_000));
}
